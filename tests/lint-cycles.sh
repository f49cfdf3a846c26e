#!/bin/bash
# Fails when files of daemon/ call each other in a circle: lint-cycles.sh BUILD-FOLDER
# nm tells which object defines a symbol and which uses it; tsort finds the circles.  The objects of
# the three programs count too.  Objects without a source are left over from a rename and do not count.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
build=$1
objects=()
for source in daemon/*.c daemon/*/*.c; do
	object=$build/${source#daemon/}
	objects+=("${object%.c}.o")
done
symbols=$(nm -A --no-sort "${objects[@]}") || {
	echo "lint: objects are missing in $build: build first" >&2
	exit 1
}
pairs=$(awk -v prefix="$build/" '
	{
		file = $1; sub(/:.*/, "", file); sub(prefix, "", file)
		type = $(NF - 1); symbol = $NF
		if (type ~ /^[TDBRC]$/) home[symbol] = file
		if (type == "U") uses[file " " symbol]
	}
	END {
		for (use in uses) {
			split(use, part, " ")
			if (part[2] in home && home[part[2]] != part[1])
				print part[1], home[part[2]]
		}
	}' <<<"$symbols" | sort -u)
[ -n "$pairs" ] || { echo "lint: no calls found in $build: nothing was checked" >&2; exit 1; }
if ! loops=$(tsort <<<"$pairs" 2>&1 >/dev/null); then
	echo "lint: files that call each other in a circle (remove one call of each):" >&2
	sed 's/^tsort: //; s/^-: //' <<<"$loops" >&2
	exit 1
fi
