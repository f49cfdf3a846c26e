#!/bin/bash
# Fails when files of daemon/ call each other in a circle: lint-cycles.sh BUILD-FOLDER
# nm tells which object defines and which uses a symbol; tsort finds the circles.
set -uo pipefail
build=$1
pairs=$(find "$build" -mindepth 2 -maxdepth 2 -name '*.o' -path "$build/*/*.o" ! -path '*/unit/*' -print0 |
	xargs -0 nm -A --no-sort | awk -v prefix="$build/" '
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
	}' | sort -u)
[ -n "$pairs" ] || { echo "lint: no objects in $build: nothing was checked" >&2; exit 1; }
if ! loops=$(tsort <<<"$pairs" 2>&1 >/dev/null); then
	echo "lint: files that call each other in a circle (remove one arrow of each):" >&2
	sed 's/^tsort: //; s/^-: //' <<<"$loops" >&2
	exit 1
fi
