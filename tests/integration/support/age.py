"""A key of age, as an administrator makes one."""

import subprocess


class Key:
    def __init__(self, folder):
        self.path = folder / "identity"
        subprocess.run(["age-keygen", "-o", self.path], check=True, stderr=subprocess.DEVNULL)
        self.public = subprocess.run(["age-keygen", "-y", self.path], check=True, stdout=subprocess.PIPE,
                                     text=True).stdout.strip()

    def decrypt(self, path):
        return subprocess.run(["age", "-d", "-i", self.path, path], check=True, stdout=subprocess.PIPE).stdout
