#!/bin/bash
# check.sh PACKAGES ROOT [OLDER]: installs, upgrades, removes, purges and installs again the packages of a folder, in a
# Debian 12 of its own under a real systemd (inside.sh has the steps).  ROOT keeps that Debian for the next time; what
# the steps change is thrown away.  OLDER is a folder with the packages of an earlier version.  Without it, they are
# made from these ones: a lower version, and other texts in the configuration files.
# environment: as of root.sh
# Needs root.  Exit status: 0 all steps passed, 1 one failed, 97 no systemd came up.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=$1 root=$2 older=${3:-}
bash tests/deb/root.sh "$root"

# The packages, the older ones, and the steps, as the container sees them.
share=$(mktemp -d)
trap 'rm -rf "$share"' EXIT
mkdir "$share/new" "$share/old"
cp "$packages"/retentiond_*.deb "$packages"/retentiond-web_*.deb "$share/new"
cp tests/deb/inside.sh tests/integration/supervisor/box/steps.sh "$share"
cp -r tests/crm "$share/crm"
if [ -n "$older" ]; then
	cp "$older"/retentiond_*.deb "$older"/retentiond-web_*.deb "$share/old"
else
	for package in retentiond retentiond-web; do
		dpkg-deb -R "$share/new/${package}_"*.deb "$share/tree"
		sed -i 's/^Version: .*/Version: 0.0~before/' "$share/tree/DEBIAN/control"
		for file in "$share/tree"/etc/retentiond/*.conf "$share/tree"/etc/retentiond/models/*.conf; do
			[ ! -e "$file" ] || sed -i '1i # As it was in the version before.' "$file"
		done
		dpkg-deb -b --root-owner-group "$share/tree" "$share/old/$package.deb" >/dev/null
		rm -r "$share/tree"
	done
fi
chmod -R a+rX "$share"
# Their dependencies are fetched here: the container has no network.
chroot "$root" apt-get clean
mkdir -p "$root/run/packages"
cp "$share"/new/*.deb "$root/run/packages"
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" sh -c 'apt-get update && apt-get install -y --download-only /run/packages/*.deb' >"$root.log" 2>&1 ||
	{ tail -n 5 "$root.log" >&2; exit 1; }
rm -rf "$root/etc/resolv.conf" "$root/run/packages"

RETENTION_BOX_ROOT=$root bash tests/integration/supervisor/box/box.sh 300 "$share" bash /mnt/inside.sh
