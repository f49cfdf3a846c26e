#!/bin/bash
# What no compiler checks: which module may know which, that every key is documented, and the rest
# of the house rules that a machine can hold.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
failed=0
complain() {
	echo "lint: $*" >&2
	failed=1
}

# Folders include downwards only.
bash tests/lint-layers.sh || failed=1

# atoi knows no error; sprintf and strcpy know no bound.
grep -nE '\b(atoi|atol|sprintf|strcpy|strcat|gets)\(' daemon/*.c daemon/*/*.c && complain "an unbounded or unchecked call"

# Functions and files keep to their limits, comments and manuals to plain words.
bash tests/lint-size.sh || failed=1
bash tests/lint-english.sh || failed=1

# Every key that the configuration reads is documented, and no other.
bash tests/lint-keys.sh || failed=1
for page in daemon/*.[158] conf/*.[158]; do
	[ -e "$page" ] || continue
	mandoc -Tlint -Wwarning "$page" || complain "$page"
done

# Anybody can take an advisory lock (database/locks.h): none but that of migrate is taken.
grep -rnE 'pg_[a-z_]*advisory|13802[0-9]{5}' daemon migrations --include='*.[ch]' --include='*.sql' |
	grep -v '^daemon/database/locks.h:\|^daemon/command/migrate.c:' && complain "an advisory lock: see database/locks.h"

# Each refusal of migrations/ has an id, and each id a text in each language.
python3 tests/lint-refusals.py || failed=1

# The page's templates hold values only where they are escaped, and each of its sentences has its French.
python3 tests/lint-pages.py || failed=1

# What a migration changes is printed before it is applied: its first comment.
for file in migrations/[0-9]*.sql; do
	case $(head -n 1 "$file") in
	"-- "?*) ;;
	*) complain "$file: begin with a comment that says what changes" ;;
	esac
done

# A released migration is never edited.
if grep -q '^[0-9a-f]' migrations/CHECKSUMS; then
	(cd migrations && sha256sum --check --strict --quiet CHECKSUMS) || complain "a released migration was edited"
fi

# The sections of NEWS are a Debian changelog, too, of 80 columns.
awk 'length > 80 { print "lint: conf/NEWS:" FNR ": longer than 80 characters"; bad = 1 } END { exit bad }' conf/NEWS >&2 || failed=1

# The map of CONTRIBUTING.md names every source file, and no other.
bash tests/lint-map.sh || failed=1

# Nothing half done, nothing of one machine.
grep -nE '\b(TO''DO|FIX''ME|XX''X|HA''CK)\b' daemon/*.c daemon/*/*.[ch] migrations/*.sql tests/*.sh Makefile && complain "left to do"
exit $failed
