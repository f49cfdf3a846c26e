#!/bin/sh
# Installs what is missing of the Debian packages that a target needs: setup.sh build|deb|check-deb|demo|check|mutants|lint|bench
# As root or through sudo; elsewhere it prints the list and fails.
set -eu

build="gcc make pkg-config libc6-dev libevent-dev libpq-dev libconfig-dev libsystemd-dev libtalloc-dev libssl-dev gettext"
server="postgresql postgresql-client time"
check="age curl iproute2 locales tidy openssh-client openssl libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-psycopg2 python3-yaml systemd systemd-container dbus pgbouncer nginx chromium chromium-driver fonts-dejavu-core prometheus python3-selenium"
deb="build-essential debhelper dpkg-dev lintian systemd"
lint="clang-format clang-tidy clang cppcheck shellcheck mandoc"

# The extension is the server's that the bench takes: the newest that is there.
version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 2>/dev/null | sed 's,.*/,,' | sort -n | tail -n 1)

case ${1:-} in
build) want=$build ;;
deb) want="$build $deb" ;;
check-deb) want="debootstrap systemd-container procps" ;;
demo) want="$build $server" ;;
check) want="$build $server $check git" ;;
mutants) want="$build $server $check git patch" ;;
lint) want="$build $lint" ;;
bench) want="$build $server $check postgresql-${version:-15}-cron gnuplot-nox valgrind" ;;
*)
	echo "usage: $0 build|deb|check-deb|demo|check|mutants|lint|bench" >&2
	exit 2
	;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "This is no Debian: install what these Debian packages hold, then run make again:" >&2
	echo "  $want" >&2
	# What is there already may be enough: the compiler will say.
	command -v pkg-config >/dev/null 2>&1 && pkg-config --exists libevent libpq libconfig libsystemd talloc libcrypto && exit 0
	exit 1
fi

missing=
for package in $want; do
	case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) in
	installed) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=
elif command -v sudo >/dev/null 2>&1; then
	as_root=sudo
else
	echo "Packages are missing, and this is neither root nor is there sudo.  As root:" >&2
	echo "  apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "installing:$missing"
# A private server is all that is wanted: Debian's package need not make a cluster of its own.  Nothing that is installed
# for a test or a tool need run as a service, now or after the next boot.  What is put in its way here is taken away again.
cluster=/etc/postgresql-common/createcluster.conf policy=/usr/sbin/policy-rc.d
if [ -e $cluster ] || command -v pg_lsclusters >/dev/null 2>&1; then cluster=; fi
if [ -e $policy ]; then policy=; fi
log=$(mktemp)
clean_up() {
	rm -f "$log"
	if [ "$policy" ]; then $as_root rm -f "$policy"; fi
	if [ "$cluster" ]; then
		$as_root rm -f "$cluster"
		if [ -e "$cluster.ucf-dist" ]; then $as_root mv "$cluster.ucf-dist" "$cluster"; fi
	fi
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
if [ "$cluster" ]; then
	$as_root mkdir -p "${cluster%/*}"
	echo "create_main_cluster = false" | $as_root tee "$cluster" >/dev/null
fi
if [ "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
fi
# shellcheck disable=SC2086 # one word a package
if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	exit 1
fi
for service in nginx pgbouncer prometheus; do
	case "$missing " in
	*" $service "*) $as_root systemctl --quiet disable "$service.service" >"$log" 2>&1 || cat "$log" >&2 ;;
	esac
done
