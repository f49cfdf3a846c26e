#!/bin/bash
# Fails on a function of more than 60 lines or 6 parameters, and on a file of more than 500 lines: more
# parameters become a struct with a name, a longer file becomes two.  Run: lint-size.sh [FILE ...]
set -uo pipefail
cd "$(dirname "$0")/.." || exit
[ $# -gt 0 ] || set -- daemon/*.c daemon/*/*.[ch]
awk '
function complain(line, what) { printf "lint: %s:%d: %s\n", file, line, what; bad = 1 }
function count_parameters(head) {
	sub(/^[^(]*\(/, "", head)
	while (gsub(/\([^()]*\)/, "", head)) # a pointer to a function is one parameter
		;
	sub(/\).*/, "", head)
	return gsub(/,/, ",", head) + 1
}
FNR == 1 { if (lines > 500) complain(lines, "a file of " lines " lines"); file = FILENAME; head = ""; body = 0 }
{ lines = FNR }
/^[a-z].*\(/ && !/;[ \t]*(\/\*.*)?$/ { head = $0; at = FNR; next }
head != "" && !/^\{/ { head = head $0 }
/^\{/ {
	if (head != "" && count_parameters(head) > 6)
		complain(at, "a function of " count_parameters(head) " parameters")
	head = ""
	body = FNR
}
/^\}/ {
	if (body && FNR - body - 1 > 60)
		complain(body, "a function of " FNR - body - 1 " lines")
	body = 0
}
END { if (lines > 500) complain(lines, "a file of " lines " lines"); exit bad }' "$@"
