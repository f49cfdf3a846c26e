#!/bin/bash
# make demo: a private PostgreSQL, a sample CRM of 20,000 contacts, and the daemon run once.
#   demo.sh          builds it anew and shows it
#   demo.sh psql     starts that server again and opens psql on it
#   demo.sh stop     stops it
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
bin=$top/build/${VARIANT:-release}
contacts=${CONTACTS:-20000}
pgbin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$pgbin" ] || pgbin=$(dirname "$(command -v initdb)")

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# initdb refuses root: the server then belongs to the user postgres.
as_server() {
	if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

# The server's files lie in build/demo; where its user cannot get there (a checkout below /root), in
# a folder of /tmp.  The socket's path must be short in any case.
choose_folders() {
	demo=$top/build/demo
	mkdir -p "$demo"
	server=$demo/server
	if [ "$(id -u)" = 0 ] && ! as_server test -x "$demo"; then
		server=$(cat "$demo/elsewhere" 2>/dev/null || mktemp -d /tmp/retentiond-demo.XXXXXX)
		echo "$server" >"$demo/elsewhere"
	fi
	socket=$server/s
	if [ ${#socket} -gt 80 ]; then
		socket=$(cat "$demo/socket" 2>/dev/null || mktemp -d /tmp/retentiond-demo.XXXXXX)
		echo "$socket" >"$demo/socket"
	fi
}

start_server() {
	as_server "$pgbin/pg_ctl" -D "$server/data" -l "$server/log" -w -s \
		-o "-c unix_socket_directories='$socket' -c listen_addresses='' -c shared_buffers=256MB -c max_wal_size=2GB" start
}

stop_server() {
	[ ! -e "$server/data/postmaster.pid" ] || as_server "$pgbin/pg_ctl" -D "$server/data" -w -s -m fast stop
}

make_server() {
	stop_server
	rm -rf "$server/data" "$demo/archives"
	mkdir -p "$server" "$socket" "$demo/archives"
	chmod 700 "$demo/archives"
	[ "$(id -u)" != 0 ] || chown postgres "$server" "$socket"
	as_server "$pgbin/initdb" -D "$server/data" -A trust -U demo -N --locale=C.UTF-8 >/dev/null
	start_server
}

write_config() {
	cat >"$demo/retentiond.conf" <<CONF
database: { conninfo = "host=$socket dbname=crm user=demo"; timezone = "Europe/Paris"; };
archives: { directory = "$demo/archives"; delimiter = ";"; bom = true; keep = "5 years"; };
# The sample has years to catch up with: on a live system max_share would ask a person first.
limits: { workers = 2; max_share = 1.0; };
@include "$top/conf/models/crm.conf"
policies = (
  { name = "contacts-36m"; action = "delete_contacts"; depth = "36 months"; schedule = "monthly"; archive = "full"; },
  { name = "contacts-18m"; action = "anonymize_contacts"; depth = "18 months"; schedule = "monthly"; },
  { name = "requests-12m"; action = "anonymize_requests"; depth = "12 months"; schedule = "monthly"; }
);
CONF
	chmod 600 "$demo/retentiond.conf"
}

query() { "$pgbin/psql" -X -q -h "$socket" -U demo -d crm -v ON_ERROR_STOP=1 "$@"; }
ctl() { "$bin/retentionctl" -c "$demo/retentiond.conf" "$@"; }

load() {
	"$pgbin/psql" -X -q -h "$socket" -U demo -d postgres -c 'CREATE DATABASE crm'
	query -v contacts="$contacts" -v today="$(date +%F)" -f tests/crm/schema.sql \
		-f tests/crm/generate.sql -f tests/crm/constraints.sql >/dev/null
}

show_contact() {
	query -x -c "SELECT id, last_name, first_name, email, phone, city, custom,
	                    (SELECT count(*) FROM crm.request r WHERE r.contact_id = c.id) AS requests,
	                    (SELECT count(*) FROM crm.message m JOIN crm.request r ON r.id = m.request_id
	                      WHERE r.contact_id = c.id) AS messages,
	                    (SELECT string_agg(DISTINCT r.reason::text, ', ') FROM crm.request r WHERE r.contact_id = c.id) AS reasons
	               FROM crm.contact c WHERE id = $1"
}

# A contact whose last request lies between the two depths: it will be anonymized, not deleted.
pick_contact() {
	query -At -c "SELECT c.id FROM crm.contact c JOIN crm.request r ON r.contact_id = c.id
	               GROUP BY 1 HAVING max(r.created_at) < now() - interval '20 months'
	                  AND max(r.created_at) > now() - interval '34 months'
	                  AND bool_and(r.status = 'closed') ORDER BY 1 LIMIT 1"
}

choose_folders
case ${1:-} in
psql)
	start_server 2>/dev/null || true
	exec "$pgbin/psql" -h "$socket" -U demo -d crm
	;;
stop)
	stop_server
	exit
	;;
"") ;;
*)
	echo "usage: demo.sh [psql | stop]" >&2
	exit 2
	;;
esac

say "A private PostgreSQL, and a sample CRM of $contacts contacts"
trap stop_server EXIT
make_server
load
query -c "SELECT (SELECT count(*) FROM crm.contact) AS contacts, (SELECT count(*) FROM crm.request) AS requests,
                 (SELECT count(*) FROM crm.message) AS messages, (SELECT count(*) FROM crm.attachment) AS attachments"
write_config
ctl migrate

say "What the policies say"
ctl policies
contact=$(pick_contact)

say "A contact before"
show_contact "$contact"

say "The daemon runs its policies once"
RETENTION_LOG=stderr "$bin/retentiond" -c "$demo/retentiond.conf" --once -v

say "The journal, as an administration page shows it"
ctl archive list

say "The same contact after: it keeps its requests, and nothing that names it"
show_contact "$contact"

say "The archive of the deleted contacts: verified twice, by sha256sum and against the journal"
archive=$(find "$demo/archives" -mindepth 1 -maxdepth 1 -type d -name '*delete_contacts*' | head -n 1)
(cd "$archive" && ls -l && sha256sum -c SHA256SUMS)
ctl archive verify "$(query -At -c "SELECT max(id) FROM retention.archive_journal WHERE action = 'delete_contacts'")"

say "To look further"
echo "  tests/demo.sh psql       the server again: SELECT * FROM retention.archives; SELECT * FROM retention.journal_event;"
echo "  $demo/retentiond.conf    the configuration; $demo/archives the files"
