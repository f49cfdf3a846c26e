#!/bin/sh
# version.sh VERSION COMMIT FILE: writes the version, and the commit that was built, as C that base/version.h declares.
# An empty COMMIT means that git is asked.  The file is left alone when it holds the same, so that make links nothing
# anew.  Where git is not there or refuses (a release's tarball, root in another user's tree), a commit that the file
# names already stays: "make && sudo make install" installs what was built.
set -eu
version=$1 commit=$2 file=$3
if [ -z "$commit" ] && [ -e .git ]; then
	commit=$(git rev-parse --short=9 HEAD 2>/dev/null || true)
	if [ -n "$commit" ] && [ -n "$(git --no-optional-locks status --porcelain --untracked-files=no 2>/dev/null)" ]; then
		commit="$commit, modified"
	fi
	if [ -z "$commit" ] && grep -q "^const char program_version\[\] = \"$version\";" "$file" 2>/dev/null; then
		exit
	fi
fi
build=$version${commit:+ (commit $commit)}
new="#include \"base/version.h\"
const char program_version[] = \"$version\";
const char program_build[] = \"$build\";"
printf '%s\n' "$new" | cmp -s - "$file" || printf '%s\n' "$new" >"$file"
