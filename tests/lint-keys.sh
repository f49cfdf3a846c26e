#!/bin/bash
# Fails when a configuration has other keys than its manual page documents: retentiond.conf(5) and web.conf(5).
# The keys are those of the setting_spec tables in daemon/config/.  A table *_specs belongs to a group, and each of its keys is an
# item or a section of the page.  A table *_parts belongs to a value that is itself a group, and each of its
# keys is in the text as "key =" or ".Ic key".  Every key that code looks up by
# name must be in a table.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
# usage: check TABLES PAGE FILE...    the files have at least that many tables
check() {
	awk -v least="$1" "$program" "${@:2}"
}
# shellcheck disable=SC2016 # the dollars are those of awk
program='
function finish() { if (table) { tables++; if (!n_keys) complain(place, "the table " table " has no key"); table = "" } }
function complain(where, what) { printf "lint: %s: %s\n", where, what; bad = 1 }
FILENAME ~ /\.5$/ {
	page = FILENAME
	if (/^\.It Ic /)
		for (i = 3; i <= NF; i++)
			if ($i != ",") items[$i]++
	if (/^\.Sh /)
		sections[tolower(substr($0, 5))] = 1
	text = text $0 "\n"
	next
}
/struct setting_spec [a-z_]*\[\]/ { finish(); match($0, /[a-z_]*\[\]/); table = substr($0, RSTART, RLENGTH - 2); place = FILENAME ":" FNR; outer = table ~ /_specs$/; n_keys = 0 }
table {
	rest = $0
	while (match(rest, /\.key = "[a-z_]+"/)) {
		key = substr(rest, RSTART + 8, RLENGTH - 9); rest = substr(rest, RSTART + RLENGTH)
		n_keys++; known[key] = 1; where[key] = FILENAME ":" FNR
		if (outer) groups[key]++; else nested[key]++
	}
	if (rest ~ /\.key =/ ) complain(FILENAME ":" FNR, "a key that is not a string of small letters")
}
/^\t?};/ { finish() }
{
	rest = $0
	while (match(rest, /reader_key\([&a-z]+, "[^"]*"\)/)) {
		split(substr(rest, RSTART, RLENGTH), part, "\""); rest = substr(rest, RSTART + RLENGTH)
		read_at[part[2]] = FILENAME ":" FNR
	}
}
END {
	for (key in groups)
		if (items[key] < groups[key] && !(key in sections))
			complain(where[key], sprintf("key \"%s\" is in %d group(s), and %s has %d item(s) of it", key, groups[key], page, items[key]))
	for (key in nested)
		if (text !~ "(^|[^a-z_])" key " = " && text !~ "\n\\.Ic " key "[ \n]")
			complain(where[key], "key \"" key "\" is not in " page)
	for (key in items)
		if (key !~ /[^a-z_]/ && items[key] > groups[key] + nested[key])
			complain(page, sprintf("item \"%s\" is not a key of the configuration", key))
	for (key in read_at)
		if (!(key in known)) complain(read_at[key], "key \"" key "\" is in no table")
	if (tables < least) complain(page, "only " tables " tables of keys found")
	exit bad
}'
shared=daemon/config/setting.c
readers=()
for file in daemon/config/*.c; do
	case $file in "$shared" | daemon/config/web.c) ;; *) readers+=("$file") ;; esac
done
check 8 conf/retentiond.conf.5 "$shared" "${readers[@]}"
retentiond=$?
check 2 conf/web.conf.5 "$shared" daemon/config/web.c
web=$?
exit $((retentiond || web))
