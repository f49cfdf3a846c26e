#!/bin/bash
# check.sh ROOT: gives the commands of README's "Installing" to a fresh Debian 12 under a real systemd (inside.sh), once
# with the packages and `setup`, once without either.  The blocks of README are what is run; no command stands here twice.
# Fails, too, if a block is run in neither way.  ROOT keeps that Debian for the next time; what the steps change is
# thrown away.
# environment: as of tests/deb/root.sh
# Needs root.  Exit status: 0 all steps passed, 1 one failed, 97 no systemd came up.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$1
bash tests/deb/root.sh "$root"

# This tree, README's blocks and the steps, as the container sees them.
share=$(mktemp -d)
trap 'rm -rf "$share" "$root/run/tree"' EXIT
mkdir "$share/tree" "$share/blocks"
if [ -e .git ]; then
	# shellcheck disable=SC2016 # for the shell that xargs starts
	git ls-files -z --cached --others --exclude-standard |
		xargs -0 sh -c 'for file; do [ ! -e "$file" ] || printf "%s\0" "$file"; done' sh |
		tar --null -T - -c | tar -x -C "$share/tree"
else
	tar -c --exclude=./build . | tar -x -C "$share/tree"
fi
awk -v folder="$share/blocks" -f tests/readme/blocks.awk README.md
cp tests/readme/inside.sh tests/readme/editor.sh tests/readme/schema.sql tests/integration/supervisor/box/steps.sh "$share"
chmod -R a+rX "$share"

# The container has no network: what the steps install is fetched here, by the same lists.
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp -r "$share/tree" "$root/run/tree"
echo 'APT::Get::Download-Only "true";' >"$root/run/download.conf"
echo 'APT::Get::Assume-Yes "true";' >"$root/etc/apt/apt.conf.d/90yes" # as somebody who answers
# shellcheck disable=SC2016 # for the other shell
chroot "$root" env APT_CONFIG=/run/download.conf DEBIAN_FRONTEND=noninteractive sh -ec '
	apt-get update
	sh /run/tree/tests/setup.sh build
	sh /run/tree/tests/setup.sh deb
	apt-get install make $(sed -n "/^Package: retentiond$/,/^$/s/^Recommends://p" /run/tree/conf/debian/control | tr -d ,)
' >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; exit 1; }
rm -rf "$root/etc/resolv.conf" "$root/run/download.conf" "$root/run/tree"

status=0
for way in packages source; do
	echo "--- $way"
	RETENTION_BOX_ROOT=$root bash tests/integration/supervisor/box/box.sh 600 "$share" bash /mnt/inside.sh $way |
		tee "$share/$way" || status=$?
	[ $status != 97 ] || exit 97
done
for block in "$share"/blocks/*; do
	grep -q "^ok - README.md:[0-9]* ${block##*/}$" "$share/packages" "$share/source" ||
		{ echo "not ok - ${block##*/} ($(head -n 1 "$block")) did not pass, or no way runs it"; status=1; }
done
exit $status
