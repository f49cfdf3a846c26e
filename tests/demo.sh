#!/bin/bash
# make demo: a private PostgreSQL, a sample CRM of 20,000 contacts, the daemon run once, and the administration page.
#   demo.sh          makes them anew, shows a pass, then the page: until Enter if somebody sits at a terminal
#   demo.sh page     starts that server, the daemon and the page again, until Enter
#   demo.sh psql     starts that server again and opens psql on it
#   demo.sh stop     stops it, and removes the sample, which make demo makes anew
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

# The server's files are in build/demo, or in a folder of /tmp when the server's user cannot reach build/demo (a
# checkout below /root).  The socket's path must always be short.
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
	# The persons of the page are asked for their passwords.
	as_server sed -i '1i local crm +retention_auditor,+retention_operator,+retention_approver scram-sha-256' "$server/data/pg_hba.conf"
	start_server
}

write_config() {
	local recipients=
	# The answer to a person who wants its data is written encrypted only.
	if [ -n "$(command -v age-keygen)" ]; then
		[ -s "$demo/key.txt" ] || (umask 077 && age-keygen -o "$demo/key.txt" 2>/dev/null)
		recipients="recipients = [ \"$(age-keygen -y "$demo/key.txt")\" ];"
	fi
	cat >"$demo/retentiond.conf" <<CONF
database: { conninfo = "host='$socket' dbname=crm user=demo"; timezone = "Europe/Paris"; };
archives: { directory = "$demo/archives"; delimiter = ";"; bom = true; keep = "5 years"; $recipients
  web_socket = "$socket/archives.sock"; web_user = "$(id -un)"; };
# The sample has years to catch up with.  On a live system max_share makes such a pass wait for a person.
limits: { workers = 2; max_share = 1.0; };
@include "$top/conf/models/crm.conf"
# Claire saves and Paul validates: actions, and rules that are made on the page.
four_eyes = true;
policies_from = "file+page";
page_policies: { shortest = "6 months";
  actions = [ "export", "delete_contacts", "anonymize_contacts", "anonymize_requests" ]; };
policies = (
  { name = "contacts-36m"; action = "delete_contacts"; depth = "36 months"; schedule = "monthly"; archive = "full"; },
  { name = "contacts-18m"; action = "anonymize_contacts"; depth = "18 months"; schedule = "monthly"; },
  { name = "requests-12m"; action = "anonymize_requests"; depth = "12 months"; schedule = "monthly"; }
);
CONF
	chmod 600 "$demo/retentiond.conf"
}

query() { "$pgbin/psql" -X -q -P pager=off -h "$socket" -U demo -d crm -v ON_ERROR_STOP=1 "$@"; }
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

make_persons() {
	query -c "SET password_encryption = 'scram-sha-256'" \
		-c "CREATE ROLE claire LOGIN PASSWORD 'demo-claire' IN ROLE retention_operator" \
		-c "CREATE ROLE paul LOGIN PASSWORD 'demo-paul' IN ROLE retention_approver"
}

# Whether a page answers at that port.
page_answers() { # NUMBER
	local status
	exec 3<>"/dev/tcp/127.0.0.1/$1" || return
	printf 'GET /connexion HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
	read -r status <&3
	exec 3>&-
	case $status in *" 200 "*) ;; *) return 1 ;; esac
} 2>/dev/null

start_page() {
	local port _
	: >"$demo/retentiond.log"
	cat >"$demo/web.conf" <<CONF
web: {
  listen = "127.0.0.1:0";
  hosts = [ "127.0.0.1" ];
  conninfo = "host='$socket' dbname=crm";
  archives = "$socket/archives.sock";
  downloads = "all";
  insecure_cookie = true; # there is no TLS here
};
CONF
	chmod 600 "$demo/web.conf"
	RETENTION_LOG=stderr "$bin/retentiond" -c "$demo/retentiond.conf" 2>>"$demo/retentiond.log" &
	programs=$!
	until grep -q "ready: " "$demo/retentiond.log"; do
		kill -0 "$programs" 2>/dev/null || { cat "$demo/retentiond.log" >&2; return 1; }
		sleep 0.1
	done
	# The first port that is free.
	for port in 8743 8744 8745 8746 8747; do
		sed -i "s/127.0.0.1:[0-9]*/127.0.0.1:$port/" "$demo/web.conf"
		RETENTION_LOG=stderr "$bin/retentiond-web" -c "$demo/web.conf" 2>>"$demo/retentiond-web.log" &
		page=$!
		for _ in $(seq 50); do
			kill -0 $page 2>/dev/null || continue 2
			# Another program may answer at this port.
			if grep -q "\[$page\]: ready" "$demo/retentiond-web.log" && page_answers $port; then
				programs="$programs $page"
				address=http://127.0.0.1:$port/
				return
			fi
			sleep 0.1
		done
	done
	tail -n 3 "$demo/retentiond-web.log" >&2
	echo "the page does not start" >&2
	return 1
}

programs='' address=''
stop_all() {
	local program
	for program in $programs; do
		kill "$program" 2>/dev/null || true
		wait "$program" 2>/dev/null || true
	done
	stop_server
}

show_page() {
	say "The administration page"
	start_page
	echo "  $address"
	echo "  claire / demo-claire    saves actions and rules, places holds (retention_operator)"
	echo "  paul   / demo-paul      validates them (retention_approver)"
	echo "  xdg-open $address"
	[ ! -s "$demo/key.txt" ] || printf "  age -d -i %q FILE.age    reads a file that was downloaded\n" "$demo/key.txt"
	if [ -t 0 ]; then
		read -r -p "It stays until you press Enter. " _
	else
		echo "  It answers, and ends now; tests/demo.sh page starts it again."
	fi
}

choose_folders
case ${1:-} in
psql)
	start_server 2>/dev/null || true
	exec "$pgbin/psql" -h "$socket" -U demo -d crm
	;;
page)
	start_server 2>/dev/null || true
	trap stop_all EXIT
	show_page
	exit
	;;
stop)
	stop_server
	rm -rf "$server" "$socket" "$demo"
	exit
	;;
"") ;;
*)
	echo "usage: demo.sh [psql | page | stop]" >&2
	exit 2
	;;
esac

say "A private PostgreSQL, and a sample CRM of $contacts contacts"
trap stop_all EXIT
make_server
load
query -c "SELECT (SELECT count(*) FROM crm.contact) AS contacts, (SELECT count(*) FROM crm.request) AS requests,
                 (SELECT count(*) FROM crm.message) AS messages, (SELECT count(*) FROM crm.attachment) AS attachments"
write_config
ctl migrate

say "The policies: what is due next, and the cutoff"
ctl policies
contact=$(pick_contact)

say "A contact before the pass"
show_contact "$contact"

say "The daemon runs each policy once"
RETENTION_LOG=stderr "$bin/retentiond" -c "$demo/retentiond.conf" --once -v

say "The journal"
ctl archive list

say "The same contact after the pass: its requests remain, its personal values are gone"
show_contact "$contact"

say "The archive of the deleted contacts, verified by sha256sum and then against the journal"
archive=$(find "$demo/archives" -mindepth 1 -maxdepth 1 -type d -name '*delete_contacts*' | head -n 1)
(cd "$archive" && ls -l && sha256sum -c SHA256SUMS)
ctl archive verify "$(query -At -c "SELECT max(id) FROM retention.archive_journal WHERE action = 'delete_contacts'")"

make_persons
show_page

say "Continue from here"
echo "  tests/demo.sh page    starts the server, the daemon and the page again"
echo "  tests/demo.sh psql    starts the server again and opens psql; try SELECT * FROM retention.archives;"
echo "  tests/demo.sh stop    stops the server, and removes the sample"
echo "  $demo/retentiond.conf is the configuration, $demo/archives has the archive."
