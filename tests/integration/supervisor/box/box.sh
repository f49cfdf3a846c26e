#!/bin/bash
# box.sh SECONDS FOLDER COMMAND [ARGUMENT ...]
# Runs COMMAND under a real systemd: PID 1 of a container whose file system is this machine's own,
# seen through an overlay in memory, so that nothing written inside is left behind.  FOLDER is seen
# as /mnt, read-only.  No network but its own loopback.  RETENTION_BOX_ROOT is another system's file system, if it is set.
# Exit status: COMMAND's; 124: it took longer than SECONDS; 97: no systemd came up.
set -u
seconds=$1 folder=$2
shift 2

# A mount namespace of our own: whatever happens, its mounts go with it.
if [ -z "${RETENTION_BOX:-}" ]; then
	export RETENTION_BOX=1
	exec unshare --mount --propagation private -- bash "$0" "$seconds" "$folder" "$@"
fi

work=$(mktemp -d /tmp/retention-box.XXXXXX)
name=retentionbox$$
control=/sys/fs/cgroup
[ -e $control/cgroup.controllers ] || control=/sys/fs/cgroup/unified
container='' first='' status=97

# The container's first process takes all others along; killing systemd-nspawn would orphan it.
finish() {
	trap - EXIT INT TERM
	[ -z "$first" ] || kill -KILL "$first" 2>/dev/null
	[ -z "$container" ] || wait "$container" 2>/dev/null
	for tree in "$control/$name" "/sys/fs/cgroup/systemd/$name"; do
		[ ! -d "$tree" ] || find "$tree" -depth -type d -exec rmdir {} \; 2>/dev/null
	done
	umount "$work/root" 2>/dev/null
	[ $status != 97 ] || cat "$work/log" >&2
	rm -rf --one-file-system "$work"
	exit $status
}
trap finish EXIT
trap 'status=130; finish' INT TERM

mkdir -p "$work/root" "$control/$name" || exit
mount --bind "${RETENTION_BOX_ROOT:-/}" "$work/root" || exit # systemd-nspawn takes no overlay of / itself
(
	echo $BASHPID >"$control/$name/cgroup.procs" # else it would leave its own groups in the root
	exec env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --directory="$work/root" \
		--volatile=overlay --machine=$name --bind-ro="$folder:/mnt" --private-network \
		--system-call-filter=bpf --register=no --keep-unit --link-journal=no --resolv-conf=off \
		--timezone=off --console=pipe --boot systemd.unit=basic.target
) </dev/null >"$work/log" 2>&1 &
container=$!

inside() {
	nsenter --target "$first" --all -- env -i HOME=/root LANG=C.UTF-8 SYSTEMD_PAGER= SYSTEMD_COLORS=0 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

up=''
for _ in $(seq 300); do
	kill -0 $container 2>/dev/null || exit
	[ -n "$first" ] || first=$(pgrep -P $container | head -n 1)
	if [ -n "$first" ]; then
		case $(inside systemctl is-system-running 2>/dev/null) in
		running | degraded)
			up=1
			break
			;;
		esac
	fi
	sleep 0.1
done
[ -n "$up" ] || exit

timeout --kill-after=5 "$seconds" nsenter --target "$first" --all -- \
	/usr/bin/systemd-run --quiet --collect --pipe --wait --setenv=HOME=/root --setenv=LANG=C.UTF-8 \
	--setenv=SYSTEMD_PAGER= --setenv=SYSTEMD_COLORS=0 \
	--setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -- "$@"
status=$?
