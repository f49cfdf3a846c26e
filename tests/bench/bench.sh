#!/bin/bash
# make bench: ratios of ours to a hand-written script, both measured here and now on one machine, and
# the job's memory on a small and on a large database.
#   SCALE=1        100,000 contacts (4 million rows); SCALE=10: a million
#   MEMORY="20000 200000"   the two sizes at which peak memory and the time a contact takes are printed; "" leaves that out
#   RATIOS=no               leaves the ratios out
#   FOREGROUND=no           leaves the foreground load out, and the plot
#   PARTS=64                so many hash partitions; "" leaves them out
#   PARTS_CONTACTS=50000    so many contacts are in them
#   CITUS=no                leaves out Citus, which is measured where the extension is installed
#   REPEAT=3                each pair is run so often; the median ratio counts
# Prints a table in Markdown, which is kept as build/bench/bench.md; beside a ratio: is it at most the target?
# build/bench/bench.svg: rows deleted and the latency of a foreground load over time, ours and the script's.
set -euo pipefail
cd "$(dirname "$0")/../.."
top=$PWD
bin=$top/build/${VARIANT:-release}
contacts=$((${SCALE:-1} * 100000))
work=$(mktemp -d /tmp/retentiond-bench.XXXXXX)
memory=${MEMORY-20000 200000}
parts=${PARTS-64}
model=model.conf from=template # what the passes work on
host=$work/server # the node that they ask
repeat=${REPEAT:-3}
out=$top/build/bench
pgbin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort -V | tail -n 1)

as_server() {
	if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}
finish() {
	for node in "$work"/*/data; do
		as_server "$pgbin/pg_ctl" -D "$node" -s -m immediate stop 2>/dev/null || true
	done
	rm -rf "$work"
}
trap finish EXIT

query() { "$pgbin/psql" -X -q -At -h "$host" -U bench -v ON_ERROR_STOP=1 "$@"; }
seconds() { date +%s.%N; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
elapsed() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", b - a }'; }

start() {
	mkdir -p "$work/server" "$work/archives" "$work/csv"
	chmod 755 "$work"
	chmod 700 "$work/archives"
	[ "$(id -u)" != 0 ] || chown postgres "$work/server"
	as_server "$pgbin/initdb" -D "$work/server/data" -A trust -U bench -N --locale=C.UTF-8 >/dev/null
	as_server "$pgbin/pg_ctl" -D "$work/server/data" -l "$work/server/log" -w -s -o "\
		-c unix_socket_directories='$work/server' -c listen_addresses='' -c shared_buffers=2GB \
		-c max_wal_size=8GB -c autovacuum=off -c shared_preload_libraries=pg_cron -c cron.host='$work/server'" start
	query -d postgres -c "CREATE EXTENSION pg_cron"
}

# A template of n contacts; each run works on a fresh copy, after a CHECKPOINT.
make_template() {
	query -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS template" -c "CREATE DATABASE template"
	query -d template -v n="$1" -f tests/bench/data.sql
}
fresh() {
	query -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS run" -c "CREATE DATABASE run TEMPLATE $from" -c "CHECKPOINT"
}

config() { # ACTION ARCHIVE [LIMITS [DEPTH]]
	local limits=${3:-}
	[[ $limits == *integrity* ]] || limits+=' integrity = "triggers";'
	cat >"$work/retentiond.conf" <<CONF
database: { conninfo = "host=$host dbname=run user=bench"; timezone = "Europe/Paris"; };
archives: { directory = "$work/archives"; };
limits: { workers = ${WORKERS:-2}; max_share = 1.0; $limits };
@include "$top/tests/bench/$model"
policies = ( { name = "bench"; action = "$1"; depth = "${4:-18 months}"; schedule = "monthly"; archive = "$2"; } );
CONF
	chmod 600 "$work/retentiond.conf"
}

# CPU seconds of the server: the postmaster, the children that it has reaped, and those that live.
server_cpu() {
	local postmaster
	postmaster=$(head -n 1 "$work/server/data/postmaster.pid")
	{
		sed 's/.*) //' "/proc/$postmaster/stat" | awk '{ print $12 + $13 + $14 + $15 }'
		for pid in $(pgrep -P "$postmaster"); do
			sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | awk '{ print $12 + $13 }'
		done
	} | awk -v hz="$(getconf CLK_TCK)" '{ sum += $1 } END { print sum / hz }'
}

# What the figures are of, as the first table, so that they are never copied without it.
machine() {
	printf '| measured | |\n| --- | --- |\n'
	printf '| date | %s |\n' "$(date +%F)"
	printf '| processor | %s |\n' "$(LC_ALL=C lscpu | sed -n 's/^Model name: *//p' | head -n 1)"
	printf '| cores | %s |\n' "$(nproc)"
	printf '| memory | %s MiB |\n' "$(awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo)"
	printf '| kernel | %s |\n' "$(uname -sr)"
	printf '| server | %s |\n' "$("$pgbin/postgres" --version)"
	printf '| load before | %s |\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
}

pass() {
	/usr/bin/env time -f '%M %U %S' -o "$work/usage" "$bin/retentiond" -c "$work/retentiond.conf" --once >"$work/log" 2>&1 ||
		{ cat "$work/log" >&2; exit 1; }
}

set_up() { # ACTION ARCHIVE [LIMITS [DEPTH]]
	config "$@"
	rm -rf "$work/archives/"*
	"$bin/retentionctl" -c "$work/retentiond.conf" migrate >/dev/null
}

# Our pass on a fresh database; sets took (seconds), cpu (ours), theirs_cpu (the server's), memory_kb.
ours() { # ACTION ARCHIVE [LIMITS [DEPTH]]
	fresh
	set_up "$@"
	local begun ended before
	before=$(server_cpu)
	begun=$(seconds)
	pass
	ended=$(seconds)
	theirs_cpu=$(elapsed "$before" "$(server_cpu)")
	took=$(elapsed "$begun" "$ended")
	memory_kb=$(awk '{ print $1 }' "$work/usage")
	cpu=$(awk '{ print $2 + $3 }' "$work/usage")
}

run_script() { (cd "$work/csv" && query -d run -f "$top/tests/bench/$1" >/dev/null); } # FILE

script() { # FILE
	fresh
	local begun ended
	begun=$(seconds)
	run_script "$1"
	ended=$(seconds)
	took=$(elapsed "$begun" "$ended")
}

# The procedure as its users run it: started by the scheduler in the database, by whose word it took so long.
cron() { # FILE
	fresh
	query -d run -f "$top/tests/bench/$1"
	query -d postgres -c "DELETE FROM cron.job_run_details" \
		-c "SELECT cron.schedule_in_database('bench', '$(date -u -d '+65 seconds' '+%M %H %d %m *')', 'CALL public.delete_old()', 'run')" >/dev/null
	local state=
	until [ "$state" = succeeded ]; do
		state=$(query -d postgres -c "SELECT status FROM cron.job_run_details ORDER BY runid LIMIT 1")
		[ "$state" != failed ] || { query -d postgres -c "SELECT return_message FROM cron.job_run_details" >&2; exit 1; }
		sleep 1
	done
	query -d postgres -c "SELECT cron.unschedule(jobid) FROM cron.job" >/dev/null # earlier, it would be cancelled
	took=$(query -d postgres -c "SELECT round(extract(epoch FROM end_time - start_time)::numeric, 1) FROM cron.job_run_details ORDER BY runid LIMIT 1")
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

row() { # WHAT OURS THEIRS RATIO TARGET
	local verdict=-
	[ -z "$5" ] || verdict=$(awk -v a="$4" -v b="$5" 'BEGIN { print a <= b ? "yes" : "no" }')
	printf '| %s | %s | %s | %s | %s | %s |\n' "$1" "$2" "$3" "$4" "${5:--}" "$verdict"
}

# Measured in pairs, of which the medians count, and of the ratios the pairs' own.
no_pairs() { : >"$work/ours"; : >"$work/theirs"; : >"$work/ratios"; }
pair() { # OURS THEIRS
	echo "$1" >>"$work/ours"
	echo "$2" >>"$work/theirs"
	printf "%s\n" "$(ratio "$1" "$2")" >>"$work/ratios"
}
pairs_row() { # WHAT UNIT TARGET
	row "$1" "$(median <"$work/ours") $2" "$(median <"$work/theirs") $2" "$(median <"$work/ratios")" "$3"
}

# Pairs in turn, so that a machine whose speed drifts drifts for both.
compare() { # WHAT TARGET script|cron SCRIPT ACTION ARCHIVE [LIMITS]
	local what=$1 target=$2 how=$3 file=$4 theirs=
	shift 4
	no_pairs
	: >"$work/share"
	for _ in $(seq "$repeat"); do
		"$how" "$file"; theirs=$took
		ours "$@"
		pair "$took" "$theirs"
		awk -v a="$cpu" -v b="$theirs_cpu" 'BEGIN { printf "%.1f\n", 100 * a / b }' >>"$work/share"
	done
	pairs_row "$what" s "$target"
}

# A foreground load; a failed statement ends it, and the bench.
load() { # SECONDS
	rm -f "$work"/latency.*
	"$pgbin/pgbench" -n -h "$work/server" -U bench -f tests/bench/foreground.sql -D "contacts=$contacts" -D "alive=$alive" -c 4 -j 1 \
		-R 200 -T "$1" -l --log-prefix="$work/latency" run >"$work/pgbench" 2>&1 || { cat "$work/pgbench" >&2; exit 1; }
}
# "p99 worst" in ms, of the transactions that were due between FROM and UNTIL (seconds since the epoch).
latencies() { # FROM UNTIL
	cat "$work"/latency.* | awk -v from="$1" -v until="$2" '{ t = $5 + $6 / 1e6 } from <= t && t <= until { print $3 / 1000 }' | sort -n |
		awk '{ v[NR] = $1 } END { printf "%.1f %.1f\n", v[int(NR * 0.99)], v[NR] }'
}

# A database with somebody to write to: the load reads anybody, and writes to those who are not due, for to
# somebody who is being erased nobody can.
living() {
	fresh
	query -d run -c "CREATE SEQUENCE crm.bench_request START 100000000" -c "CREATE TABLE crm.bench_alive AS
		SELECT row_number() OVER () AS n, contact_id AS id FROM crm.request GROUP BY contact_id
		HAVING max(created_at) >= now() - interval '18 months' - interval '1 day'" \
		-c "ALTER TABLE crm.bench_alive ADD PRIMARY KEY (n)" -c "ANALYZE crm.bench_alive"
	alive=$(query -d run -c "SELECT count(*) FROM crm.bench_alive")
	# Or the disk is still busy with the copy, for half a minute, and it is that which the load waits for.
	query -d run -c CHECKPOINT
	sync
}

# The load for so long, and twice a second how many rows have gone for good: NAME.rows and NAME.ms, by seconds.
record() { # NAME SECONDS
	local begun sampler
	begun=$(seconds)
	( while query -d run -c "SELECT extract(epoch FROM clock_timestamp()) - $begun, sum(n_tup_del)
			FROM pg_stat_user_tables WHERE schemaname = 'crm'" -F ' '; do sleep 0.5; done ) >"$out/$1.rows" 2>/dev/null &
	sampler=$!
	load "$2"
	kill "$sampler"
	wait "$sampler" 2>/dev/null || true
	cat "$work"/latency.* | awk -v b="$begun" '{ t = int($5 + $6 / 1e6 - b); if ($3 / 1000 > m[t]) m[t] = $3 / 1000 }
		END { for (t in m) print t, m[t] }' | sort -n >"$out/$1.ms"
}

# Runs a command beside the load, for the plot; sets begun and ended.
beside() { # NAME COMMAND...
	local name=$1 job
	shift
	rm -f "$work/ended"
	begun=$(seconds)
	( "$@" && seconds >"$work/ended" ) &
	job=$!
	record "$name" 45
	wait "$job"
	ended=$(cat "$work/ended")
}

ready() { # LIMITS
	living
	set_up delete_contacts listed "$1"
}

# Five seconds, once what was before has died away: "from until".
stint() {
	local from
	sleep 1
	from=$(seconds)
	sleep 5
	echo "$from $(seconds)"
}

brake() { # pause|resume
	"$bin/retentionctl" -c "$work/retentiond.conf" "$1" >/dev/null
}

# The load beside a pass that is paused and goes on in turn, each for five seconds: a machine that is slow for a while,
# as those are that others share, is so for both.  The row has the medians, the ratio that of the pairs' ratios.
stints() { # LIMITS
	local job loading paused running worst=0
	ready "$1"
	pass &
	job=$!
	until [ "$(query -d run -c 'SELECT EXISTS (SELECT FROM retention.ledger)')" = t ]; do sleep 0.1; done
	brake pause
	load 75 &
	loading=$!
	: >"$work/pairs"
	while kill -0 "$loading" 2>/dev/null && kill -0 "$job" 2>/dev/null; do
		paused=$(stint)
		brake resume
		running=$(stint)
		brake pause
		! kill -0 "$loading" 2>/dev/null || ! kill -0 "$job" 2>/dev/null || echo "$paused $running" >>"$work/pairs"
	done
	wait "$loading"
	brake resume
	wait "$job"
	no_pairs
	while read -r a b c d; do
		paused=$(latencies "$a" "$b")
		running=$(latencies "$c" "$d")
		worst=$(awk -v a="$worst" -v b="${running#* }" 'BEGIN { print (a > b) ? a : b }')
		pair "${running% *}" "${paused% *}"
	done <"$work/pairs"
	pairs_row "p99 latency of 200 transactions/s beside a pass ($1), against the same while it is paused, $(wc -l <"$work/pairs") pairs of 5 s; worst $worst ms" ms 1.5
}

foreground() { # NAME LIMITS
	ready "$2"
	beside "$1" pass
	stints "$2"
}

# The script cannot be paused: the load is alone before it.
foreground_script() {
	local alone during
	living
	load 15
	alone=$(latencies 0 "$(seconds)")
	beside script run_script script-delete.sql
	during=$(latencies "$begun" "$ended")
	row "the same beside the one-transaction script, against the load alone before; worst ${during#* } ms" \
		"${during% *} ms" "${alone% *} ms" "$(ratio "${during% *}" "${alone% *}")" ""
}

plot() {
	gnuplot <<-PLOT
		set terminal svg size 900,600 dynamic background "white"
		set output "$out/bench.svg"
		set multiplot layout 2,1
		set key outside top center horizontal
		set xlabel "seconds"
		set ylabel "rows gone for good"
		plot "$out/ours.rows" with lines lw 2 title "retentiond", "$out/set.rows" with lines lw 2 title "integrity = set", \
			"$out/full.rows" with lines lw 2 title "courtesy = false", "$out/script.rows" with lines lw 2 title "one-transaction script"
		set ylabel "worst latency in a second, ms"
		plot "$out/ours.ms" with lines lw 2 title "beside retentiond", "$out/set.ms" with lines lw 2 title "integrity = set", \
			"$out/full.ms" with lines lw 2 title "courtesy = false", "$out/script.ms" with lines lw 2 title "beside the script"
	PLOT
}

# Pairs of seconds from the request to the journal's last word, and of the query by itself.
nothing_due() {
	local begun idle plain
	no_pairs
	for _ in $(seq "$repeat"); do
		ours delete_contacts listed "" "30 years"
		idle=$(query -d run -c "SELECT round(extract(epoch FROM finished_at - requested_at)::numeric, 3) FROM retention.archive_journal")
		query -d run -c "SELECT count(*) FROM crm.request" >/dev/null
		begun=$(seconds)
		query -d run -c "SELECT count(*) FROM (SELECT contact_id FROM crm.request GROUP BY 1
			HAVING max(created_at) < date_trunc('day', now()) - interval '30 years') AS x" >/dev/null
		plain=$(awk -v a="$begun" -v b="$(seconds)" 'BEGIN { printf "%.3f", b - a }')
		pair "$idle" "$plain"
	done
}

ratios() {
	local some begun rows_took due
	compare "delete_contacts, archive listed, against a one-transaction script" 0.45 script script-delete.sql delete_contacts listed
	row "our own CPU, percent of the server's" "" "" "$(median <"$work/share")" 4
	compare "the same with integrity = \"set\"" 0.20 script script-delete.sql delete_contacts listed 'integrity = "set";'
	repeat=1 compare "the same without archives, once, against a batched procedure under pg_cron, which archives nothing" "" cron procedure.sql delete_contacts none
	compare "anonymize_contacts, against a one-transaction script" 0.50 script script-anonymize.sql anonymize_contacts none

	fresh
	some=$((contacts / 50))
	begun=$(seconds)
	query -d run -c "SELECT 1" >/dev/null
	/usr/bin/python3 tests/bench/rows.py "host=$work/server dbname=run user=bench" "$some" >/dev/null
	rows_took=$(elapsed "$begun" "$(seconds)")
	ours delete_contacts none
	due=$(query -d run -c "SELECT candidates FROM retention.archive_journal")
	row "ms a contact, against an application's loop, object by object ($some contacts)" \
		"$(awk -v a="$took" -v n="$due" 'BEGIN { printf "%.2f", 1000 * a / n }')" \
		"$(awk -v a="$rows_took" -v n="$some" 'BEGIN { printf "%.2f", 1000 * a / n }')" \
		"$(awk -v a="$took" -v n="$due" -v b="$rows_took" -v m="$some" 'BEGIN { printf "%.2f", (a / n) / (b / m) }')" ""

	nothing_due
	pairs_row "a pass with nothing due, against the plain aggregate query" s 1.2
}

# Two templates of the layout by contact: plain tables, and their partitions.
make_partitioned() { # CONTACTS
	local name
	make_template "$1"
	for name in plain partitioned; do
		query -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS $name" -c "CREATE DATABASE $name TEMPLATE template"
		query -d "$name" -v parts="$([ "$name" = plain ] && echo 0 || echo "$parts")" -f tests/bench/by-contact.sql
	done
}

# Passes over partitions and over plain tables, in turn.  The smallest of each counts: what else the machine does can
# only make a pass slower.
partitions() {
	local what integrity plain
	for integrity in set triggers; do
		for what in by-contact-shard.conf by-contact.conf; do
			no_pairs
			for _ in $(seq "$repeat"); do
				from=plain model=by-contact.conf
				ours delete_contacts listed "integrity = \"$integrity\";"
				plain=$took
				from=partitioned model=$what
				ours delete_contacts listed "integrity = \"$integrity\";"
				pair "$took" "$plain"
			done
			took=$(sort -n "$work/ours" | head -n 1)
			plain=$(sort -n "$work/theirs" | head -n 1)
			row "$parts hash partitions, $([ "$what" = by-contact.conf ] && echo no || echo with a) shard column, integrity \"$integrity\", against plain tables" \
				"$took s" "$plain s" "$(ratio "$took" "$plain")" "$([ "$what" = by-contact.conf ] || echo 1.3)"
		done
	done
	from=template model=model.conf
}

# Citus on this machine: a coordinator, which holds no shard, and two workers.
nodes=(coordinator worker1 worker2)
start_citus() {
	local node
	for node in "${nodes[@]}"; do
		mkdir -p "$work/$node"
		[ "$(id -u)" != 0 ] || chown postgres "$work/$node"
		as_server "$pgbin/initdb" -D "$work/$node/data" -A trust -U bench -N --locale=C.UTF-8 >/dev/null
		as_server "$pgbin/pg_ctl" -D "$work/$node/data" -l "$work/$node/log" -w -s -o "-c unix_socket_directories='$work/$node' \
			-c listen_addresses='' -c shared_buffers=512MB -c max_wal_size=8GB -c autovacuum=off -c shared_preload_libraries=citus \
			-c max_prepared_transactions=50 -c citus.shard_count=8 -c citus.enable_statistics_collection=off \
			-c citus.local_hostname='$work/$node'" start
	done
}

# A database on the three nodes, with the bench's data by contact: nothing can be copied here as a template.
fresh_citus() { # CONTACTS
	local node
	for node in "${nodes[@]}"; do
		host=$work/$node
		query -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS run WITH (FORCE)" \
			-c "SET citus.enable_create_database_propagation = off" -c "CREATE DATABASE run"
		query -d run -c "CREATE EXTENSION citus"
	done
	host=$work/coordinator
	query -d run -c "SELECT citus_set_coordinator_host('$host', 5432)" -c "SELECT citus_add_node('$work/worker1', 5432)" \
		-c "SELECT citus_add_node('$work/worker2', 5432)" >/dev/null
	query -d run -v n="$1" -f tests/bench/data.sql
	query -d run -v parts=0 -v citus=yes -f tests/bench/by-contact.sql 2>/dev/null # notices, of each table
	query -d postgres -c CHECKPOINT
}

# The same pass over plain tables and over the same ones distributed by contact.  Three servers share the processors
# of one: the ratio is what Citus costs, and says nothing of what more machines win.
citus() { # CONTACTS
	local plain begun
	start_citus
	no_pairs
	for _ in $(seq "$repeat"); do
		host=$work/server from=plain model=by-contact.conf
		ours delete_contacts listed
		plain=$took
		fresh_citus "$1"
		model=by-contact-shard.conf
		set_up delete_contacts listed
		begun=$(seconds)
		pass
		pair "$(elapsed "$begun" "$(seconds)")" "$plain"
	done
	host=$work/server from=template model=model.conf
	took=$(sort -n "$work/ours" | head -n 1)
	plain=$(sort -n "$work/theirs" | head -n 1)
	row "Citus by contact, a coordinator and two workers on this machine, integrity \"triggers\", against plain tables" \
		"$took s" "$plain s" "$(ratio "$took" "$plain")" ""
}

command -v time >/dev/null || { echo "bench: the program time is missing (Debian package time)" >&2; exit 1; }
mkdir -p "$out"
exec > >(tee "$out/bench.md")
machine
start
if [ -n "$memory" ]; then
	printf '\n| contacts | peak memory of a job | seconds per 1000 contacts | nothing due, against the plain aggregate query |\n| --- | --- | --- | --- |\n'
fi
for n in $memory; do
	make_template "$n"
	ours delete_contacts listed
	each=$(awk -v a="$took" -v b="$n" 'BEGIN { printf "%.3f", 1000 * a / b }')
	peak=$memory_kb
	nothing_due
	printf '| %d | %d KiB | %s | %s |\n' "$n" "$peak" "$each" "$(median <"$work/ratios")"
	first=${first:-$each}
done
[ -z "$memory" ] || printf '| the last against the first (at most 1.1) | | %s | |\n' "$(ratio "$each" "$first")"
if [ -n "$parts" ]; then
	make_partitioned "${PARTS_CONTACTS:-50000}"
	printf '\n%d contacts by contact, smallest of %d\n\n| what | partitions | plain | ratio | at most | reached |\n| --- | --- | --- | --- | --- | --- |\n' \
		"${PARTS_CONTACTS:-50000}" "$repeat"
	partitions
	if [ "${CITUS:-yes}" != no ]; then
		if [ "$(query -d postgres -c "SELECT count(*) FROM pg_available_extensions WHERE name = 'citus'")" = 1 ]; then
			citus "${PARTS_CONTACTS:-50000}"
		else
			echo "Citus is not measured: the extension is not installed here"
		fi
	fi
fi
[ "${RATIOS:-yes}${FOREGROUND:-yes}" != nono ] || exit 0
make_template "$contacts"
printf '\n%d contacts, median of %d\n\n| what | ours | theirs | ratio | at most | reached |\n| --- | --- | --- | --- | --- | --- |\n' "$contacts" "$repeat"
[ "${RATIOS:-yes}" = no ] || ratios
if [ "${FOREGROUND:-yes}" != no ]; then
	foreground ours 'courtesy = true;'
	foreground set 'integrity = "set";'
	foreground full 'courtesy = false;'
	foreground_script
	plot
fi
