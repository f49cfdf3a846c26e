"""
The environment of somebody who reads French.  A locale of the tests' own: which ones a machine has is up to its owner, and
under C.UTF-8 the C library of Debian 13 leaves LANGUAGE unread.
"""

import subprocess

from support.harness import short_dir

LOCALES = short_dir()
LOCALES.chmod(0o755)
subprocess.run(["localedef", "--no-archive", "-i", "fr_FR", "-f", "UTF-8", LOCALES / "fr_FR.UTF-8"], check=True, stdin=subprocess.DEVNULL)
# The C library forgets what it allocates for LOCPATH.
(LOCALES / "leaks").write_text("leak:__argz_add_sep\n")
LSAN_OPTIONS = f"suppressions={LOCALES / 'leaks'}:print_suppressions=0"


def reader(language):
    return {"LC_ALL": "fr_FR.UTF-8", "LANGUAGE": language, "LOCPATH": str(LOCALES), "LSAN_OPTIONS": LSAN_OPTIONS}


FRENCH = reader("fr")
