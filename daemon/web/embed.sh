#!/bin/sh
# Writes C: the files named on the command line, as bytes, in the tables that web/embedded.h declares.
# *.html are templates, *.mo is the French catalogue, all others are served under their SHA-256.
set -eu
bytes() {
	od -An -v -tu1 "$1" | tr -s ' \n' ',' | sed 's/^,//; s/,$//'
}
echo '#include "web/embedded.h"'
n=0
for file in "$@"; do
	n=$((n + 1))
	case $file in
	*.html) echo "static const unsigned char text${n}[] = {" && bytes "$file" && echo ', 0};' ;;
	*.mo)
		echo 'const unsigned char embedded_french[] = {' && bytes "$file" && echo '};'
		echo 'const size_t embedded_french_size = sizeof(embedded_french);'
		;;
	*) echo "static const unsigned char text${n}[] = {" && bytes "$file" && echo '};' ;;
	esac
done
echo 'const struct embedded_page embedded_pages[] = {'
n=0
for file in "$@"; do
	n=$((n + 1))
	case $file in *.html) printf '\t{"%s", text%d},\n' "$(basename "$file" .html)" "$n" ;; esac
done
echo '};'
echo 'const size_t embedded_pages_count = sizeof(embedded_pages) / sizeof(embedded_pages[0]);'
echo 'const struct asset embedded_files[] = {'
n=0
for file in "$@"; do
	n=$((n + 1))
	case $file in
	*.html | *.mo) ;;
	*)
		name=$(basename "$file")
		sum=$(sha256sum "$file" | cut -c1-32)
		case $name in *.css) type=text/css ;; *.js) type=text/javascript ;; *) exit 1 ;; esac
		printf '\t{"%s", "/s/%s.%s.%s", "%s; charset=utf-8", text%d, sizeof(text%d)},\n' \
			"$name" "${name%.*}" "$sum" "${name##*.}" "$type" "$n" "$n"
		;;
	esac
done
echo '};'
echo 'const size_t embedded_files_count = sizeof(embedded_files) / sizeof(embedded_files[0]);'
