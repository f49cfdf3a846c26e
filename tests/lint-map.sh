#!/bin/bash
# Fails when the map in CONTRIBUTING.md misses a source file of daemon/, or names one that does not exist.
# A file of command/ is found by the name of its command, so the map need not name it.
set -uo pipefail
files=$(cd daemon && printf '%s\n' */*.[ch])
awk -v files="$files" '
BEGIN {
	n = split(files, list, "\n")
	for (i = 1; i <= n; i++) {
		header = list[i] ~ /\.h$/
		sub(/\.[ch]$/, "", list[i])
		exists[list[i]]
		if (!header && list[i] !~ /^command\//)
			wanted[list[i]]
	}
}
/^## / { folder = "" }
/^\*\*[a-z]+\/\*\*/ { folder = $1; gsub(/\*/, "", folder) }
/^\| / && folder != "" && folder != "migrations/" && $0 !~ /^\| (file \| what|---)/ {
	split($0, column, "|")
	count = split(column[2], names, ",")
	for (i = 1; i <= count; i++) {
		gsub(/ |\(h\)/, "", names[i])
		delete wanted[folder names[i]]
		if (!(folder names[i] in exists)) {
			printf "CONTRIBUTING.md:%d: daemon/%s%s does not exist\n", FNR, folder, names[i]
			bad = 1
		}
	}
}
END {
	for (name in wanted) {
		printf "CONTRIBUTING.md: the map misses daemon/%s.c\n", name
		bad = 1
	}
	exit bad
}' CONTRIBUTING.md
