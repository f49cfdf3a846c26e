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

# The numbers of the advisory locks stand in database/locks.h.  Each lock that SQL takes is named behind the call,
# by its class and its object, and has their numbers.
grep -rnE '13802[0-9]{5}' daemon tests --include='*.[ch]' --include='*.py' | grep -v '^daemon/database/locks.h:' &&
	complain "a lock's number outside of database/locks.h"
number() {
	sed -nE "s/^#define $1 ([0-9]+)\b.*/\1/p" daemon/database/locks.h
}
while IFS=: read -r file line text; do
	read -r class object <<<"$(sed -nE 's/.*-- (LOCK_[A-Z]+), (LOCK_[A-Z]+)$/\1 \2/p' <<<"$text")"
	if [ -z "${class:-}" ] || ! grep -qF "($(number "$class"), $(number "$object"))" <<<"$text"; then
		complain "$file:$line: the lock is not the one that its comment names"
	fi
done < <(grep -n 'pg_[a-z_]*advisory' migrations/*.sql)

# Each refusal of migrations/ has an id, and each id a text in each language.
python3 tests/lint-refusals.py || failed=1

# A released migration is never edited.
if grep -q '^[0-9a-f]' migrations/CHECKSUMS; then
	(cd migrations && sha256sum --check --strict --quiet CHECKSUMS) || complain "a released migration was edited"
fi

# The map of CONTRIBUTING.md names every source file, and no other.
bash tests/lint-map.sh || failed=1

# Nothing half done, nothing of one machine.
grep -nE '\b(TO''DO|FIX''ME|XX''X|HA''CK)\b' daemon/*.c daemon/*/*.[ch] migrations/*.sql tests/*.sh Makefile && complain "left to do"
exit $failed
