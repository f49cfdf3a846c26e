#!/bin/sh
# Writes C: the migrations named on the command line, as bytes, in the table that base/migrations.h declares.
set -eu
echo '#include "base/migrations.h"'
n=0
for file in "$@"; do
	n=$((n + 1))
	printf 'static const char text%d[] = {' "$n"
	od -An -v -tu1 "$file" | tr -s ' \n' ',' | sed 's/^,//; s/,$//'
	echo ', 0};'
done
echo 'const struct migration migrations[] = {'
n=0
for file in "$@"; do
	n=$((n + 1))
	base=$(basename "$file" .sql)
	printf '\t{%d, "%s", text%d},\n' "$((1${base%%_*} - 10000))" "${base#*_}" "$n"
done
echo '};'
echo 'const size_t migrations_count = sizeof(migrations) / sizeof(migrations[0]);'
