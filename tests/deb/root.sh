#!/bin/bash
# root.sh ROOT: makes a Debian of its own in ROOT, unless it is there.  It has what a host with a database has, and nothing
# that the program should bring itself.
# environment: MIRROR   where debootstrap finds Debian
#              SUITE    the release, by default bookworm
set -euo pipefail
root=$1
suite=${SUITE:-bookworm}
packages=systemd,systemd-sysv,dbus,sudo,iproute2,postgresql,man-db,procps,ca-certificates
[ "$(id -u)" = 0 ] || { echo "this makes a Debian of its own, which needs root" >&2; exit 1; }
[ "$(cat "$root/.complete" 2>/dev/null)" != "$suite $packages" ] || exit 0
rm -rf "$root"
mkdir -p "$root"
echo "making a Debian $suite in $root"
debootstrap --variant=minbase "--include=$packages" "$suite" "$root" "${MIRROR:-http://deb.debian.org/debian}" \
	>"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; exit 1; }
rm -f "$root/etc/resolv.conf"
echo "$suite $packages" >"$root/.complete"
