"""A program on a pseudo-terminal."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios

from support.harness import wait_until


class Terminal:
    """A program on a pseudo-terminal of that many columns."""

    def __init__(self, args, width=80, env=None):
        self.end, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        self.process = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=other, stderr=other,
                                        env={**os.environ, "RETENTION_LOG": "stderr", **(env or {})})
        os.close(other)
        os.set_blocking(self.end, False)
        self.raw = b""

    def read(self):
        with contextlib.suppress(OSError):
            while True:
                part = os.read(self.end, 65536)
                if not part:
                    break
                self.raw += part
        return self.raw.decode(errors="replace")

    def wait(self):
        wait_until(lambda: self.read() and self.process.poll() is not None)
        text = self.read().replace("\r\n", "\n")
        os.close(self.end)
        return self.process.returncode, text
