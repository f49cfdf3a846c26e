#!/bin/bash
# make bench: ratios of ours to a hand-written script, both measured here and now on one machine, and
# the job's memory on a small and on a large database.
#   SCALE=1        100,000 contacts (4 million rows); SCALE=10: a million
#   MEMORY="20000 500000"   the two sizes at which peak memory is printed; "" leaves that out
#   RATIOS=no               leaves the ratios out
set -euo pipefail
cd "$(dirname "$0")/../.."
top=$PWD
bin=$top/build/${VARIANT:-release}
contacts=$((${SCALE:-1} * 100000))
memory=${MEMORY-20000 500000}
pgbin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort -V | tail -n 1)
work=$(mktemp -d /tmp/retentiond-bench.XXXXXX)

as_server() {
	if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}
finish() {
	as_server "$pgbin/pg_ctl" -D "$work/server/data" -s -m immediate stop 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

query() { "$pgbin/psql" -X -q -At -h "$work/server" -U bench -v ON_ERROR_STOP=1 "$@"; }
seconds() { date +%s.%N; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
elapsed() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", b - a }'; }

start() {
	mkdir -p "$work/server" "$work/archives" "$work/csv"
	chmod 755 "$work"
	[ "$(id -u)" != 0 ] || chown postgres "$work/server"
	as_server "$pgbin/initdb" -D "$work/server/data" -A trust -U bench -N --locale=C.UTF-8 >/dev/null
	as_server "$pgbin/pg_ctl" -D "$work/server/data" -l "$work/server/log" -w -s -o "\
		-c unix_socket_directories='$work/server' -c listen_addresses='' -c shared_buffers=2GB \
		-c max_wal_size=8GB -c autovacuum=off" start
}

# A template of n contacts; each run works on a fresh copy, after a CHECKPOINT.
make_template() {
	query -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS template" -c "CREATE DATABASE template"
	query -d template -v n="$1" -f tests/bench/data.sql
}
fresh() {
	query -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS run" -c "CREATE DATABASE run TEMPLATE template" -c "CHECKPOINT"
}

config() { # ACTION ARCHIVE
	cat >"$work/retentiond.conf" <<CONF
database: { conninfo = "host=$work/server dbname=run user=bench"; timezone = "Europe/Paris"; };
archives: { directory = "$work/archives"; };
limits: { workers = ${WORKERS:-2}; max_share = 1.0; };
@include "$top/tests/bench/model.conf"
policies = ( { name = "bench"; action = "$1"; depth = "18 months"; schedule = "monthly"; archive = "$2"; } );
CONF
	chmod 600 "$work/retentiond.conf"
}

# Runs our pass; sets took (seconds of the job, from its journal), cpu (ours), memory_kb (its peak).
ours() { # ACTION ARCHIVE
	fresh
	config "$1" "$2"
	rm -rf "$work/archives/"*
	"$bin/retentionctl" -c "$work/retentiond.conf" migrate >/dev/null
	local begun ended
	begun=$(seconds)
	/usr/bin/env time -f '%M %U %S' -o "$work/usage" "$bin/retentiond" -c "$work/retentiond.conf" --once >"$work/log" 2>&1 ||
		{ cat "$work/log" >&2; exit 1; }
	ended=$(seconds)
	took=$(elapsed "$begun" "$ended")
	memory_kb=$(awk '{ print $1 }' "$work/usage")
	cpu=$(awk '{ print $2 + $3 }' "$work/usage")
}

script() { # FILE
	fresh
	local begun ended
	begun=$(seconds)
	(cd "$work/csv" && query -d run -f "$top/tests/bench/$1" >/dev/null)
	ended=$(seconds)
	took=$(elapsed "$begun" "$ended")
}

command -v time >/dev/null || { echo "bench: the program time is missing (Debian package time)" >&2; exit 1; }
echo "$(date +%F), $(nproc) cores, $("$pgbin/postgres" --version)"
start
for n in $memory; do
	make_template "$n"
	ours delete_contacts listed
	printf 'peak memory of a delete_contacts job at %9d contacts: %6d KiB (%s s)\n' "$n" "$memory_kb" "$took"
done
[ "${RATIOS:-yes}" = yes ] || exit 0
make_template "$contacts"
script script-delete.sql
theirs=$took
ours delete_contacts listed
printf 'delete_contacts, archive listed, %d contacts: ours %s s (own CPU %s s), one-transaction script %s s, ratio %s\n' \
	"$contacts" "$took" "$cpu" "$theirs" "$(ratio "$took" "$theirs")"
script script-anonymize.sql
theirs=$took
ours anonymize_contacts none
printf 'anonymize_contacts, %d contacts: ours %s s (own CPU %s s), one-transaction script %s s, ratio %s\n' \
	"$contacts" "$took" "$cpu" "$theirs" "$(ratio "$took" "$theirs")"
