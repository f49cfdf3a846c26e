#!/bin/bash
# build.sh FOLDER: builds the Debian packages of this tree into FOLDER, and fails where lintian finds something.
# The version is that of conf/NEWS.  Before its release it is followed by the commit's time and name, so that each
# build upgrades the one before.  DEBVERSION replaces it.  MAINTAINER signs the changelog.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$1
tree=$folder/tree
maintainer=$(sed -n 's/^Maintainer: //p' conf/debian/control)

news() { sed -n 's/^retentiond \([0-9][0-9.]*\), \(.*\)$/\1 \2/p' conf/NEWS | head -n 1; }
read -r version day <<<"$(news)"
commit='' time=$(date +%s)
if [ -e .git ]; then
	commit=$(git rev-parse --short=9 HEAD)
	time=$(git log -1 --format=%ct)
	[ -z "$(git status --porcelain --untracked-files=no)" ] || { commit="$commit, modified" time=$(date +%s); }
fi
if [ "$day" = "not released yet" ]; then
	version=$version~git$(date -u -d "@$time" +%Y%m%d%H%M%S)${commit:+.${commit%,*}}
else
	time=$(date -d "$day 12:00 UTC" +%s)
fi
version=${DEBVERSION:-$version}

# The sections of NEWS are laid out as those of a changelog are.
changelog() {
	awk -v version="$version" -v date="$(date -u -R -d "@$time")" -v maintainer="$maintainer" '
	function end() { if (body != "") printf "%s\n\n -- %s  %s\n\n", body, maintainer, date; body = "" }
	/^retentiond [0-9]/ {
		end()
		sub(/,/, "", $2)
		if (n++) {
			version = $2
			"LC_ALL=C date -u -R -d \"" $3 " 12:00 UTC\"" | getline date
		}
		printf "retentiond (%s) unstable; urgency=medium\n\n", version
		next
	}
	n && /^  / { body = body (body == "" ? "" : "\n") $0 }
	END { end() }' conf/NEWS
}

# A copy of what git knows, so that the package holds nothing else, and debian/ stands where the tools look for it.
rm -rf "$folder"
mkdir -p "$tree"
if [ -e .git ]; then
	# shellcheck disable=SC2016 # for the shell that xargs starts
	git ls-files -z | xargs -0 sh -c 'for file; do [ ! -e "$file" ] || printf "%s\0" "$file"; done' sh |
		tar --null -T - -c | tar -x -C "$tree"
else
	tar -c --exclude=./build . | tar -x -C "$tree"
fi
mv "$tree/conf/debian" "$tree/debian"
rm "$tree/debian/build.sh"
changelog >"$tree/debian/changelog"
echo "$commit" >"$tree/debian/commit"

log=$folder/build.log
if ! (cd "$tree" && dpkg-buildpackage --no-sign --build=binary) >"$log" 2>&1; then
	tail -n 40 "$log" >&2
	echo "the packages could not be built; $log has everything" >&2
	exit 1
fi
rm -rf "$tree"
lintian --fail-on error,warning --allow-root "$folder"/*.changes
printf '%s\n' "$folder"/*.deb
