#!/bin/bash
# Fails on wording that readers stumble over: he, his, him or whom for a contact or a request, and
# comments that begin with Of, Who or Whom.  Run at the root of the tree: lint-english.sh [FILE ...]
set -uo pipefail
cd "$(dirname "$0")/.." || exit
[ $# -gt 0 ] || set -- daemon/*.[ch158] daemon/*/*.[ch] conf/*.5 conf/*.conf conf/models/*.conf conf/fleet/*.conf conf/fleet/*/*.conf \
	migrations/*.sql README.md
awk '
{ line = tolower($0); gsub(/[^a-z]+/, " ", line); line = " " line " " }
match(line, / (he|his|him|whom) /) {
	printf "lint: %s:%d: \"%s\": it is a contact, a request or a subject\n", FILENAME, FNR, substr(line, RSTART + 1, RLENGTH - 2)
	bad = 1
}
(opened && /^[ \t]*\*? *(Of|Who|Whom)[ ,]/) || /(\/\*|\/\/|--) *(Of|Who|Whom)[ ,]/ {
	printf "lint: %s:%d: begin the comment with its verb or noun\n", FILENAME, FNR
	bad = 1
}
{ opened = /\/\*[ \t]*$/ }
END { exit bad }' "$@"
