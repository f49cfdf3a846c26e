#!/bin/bash
# Runs in the box: three daemons, each with a database, a role and a directory of its own, as retentiond(8), A FLEET,
# says to set them up.  What happens to one must not happen to another.
# shellcheck disable=SC2317,SC2016 # functions and commands that ok and until_true call
set -u
# shellcheck source=tests/integration/supervisor/box/host.sh
. /mnt/tests/integration/supervisor/box/host.sh "$1"
show() { systemctl show "retentiond@$1" -P "$2"; }
active() { # NAME...
	local each
	for each in "$@"; do
		systemctl -q is-active "retentiond@$each" || { echo "$each is not active"; return 1; }
	done
}
said() { journalctl --sync; journalctl -t "retentiond@$1" -o cat --no-pager | grep -q "$2"; }
refused() { ! "$@"; }

# --- three databases, each with a role of its own ---
{
	echo "local all retentiond_a,retentiond_b,retentiond_c peer map=fleet"
	cat /run/pg/data/pg_hba.conf
} >/run/pg/hba && cat /run/pg/hba >/run/pg/data/pg_hba.conf
for name in a b c; do
	echo "fleet retentiond retentiond_$name" >>/run/pg/data/pg_ident.conf
done
pg -d postgres -c "SELECT pg_reload_conf()" >/dev/null
pg -d postgres -c "CREATE DATABASE sample"
(cd /mnt/tests/crm && pg -d sample -v contacts=60 -v today="$(date +%F)" -f schema.sql -f generate.sql -f constraints.sql >/dev/null)

# --- the files: the shipped ones, by other names ---
install -d /etc/retentiond/models /etc/retentiond/shared
install -m 644 /mnt/conf/models/crm.conf /etc/retentiond/models/crm.conf
install -m 644 /mnt/conf/fleet/shared/*.conf /etc/retentiond/shared/
# At any time of day, and all that is due.
sed -i 's/window = .*/max_share = 1.0;/' /etc/retentiond/shared/policies.conf
config() { # NAME DATABASE
	sed "s/acme/$1/g; s/dbname=$1/host=\/run\/pg dbname=$2/; s/user=retentiond_$1/user=retentiond_$2/; s/# web_socket/web_socket/; s/# metrics/metrics/" \
		/mnt/conf/fleet/acme.conf >"/etc/retentiond/$1.conf"
	chmod 644 "/etc/retentiond/$1.conf"
}
install -d /etc/systemd/system/retentiond@.service.d
install -m 644 /mnt/systemd/retentiond-downloads.conf /etc/systemd/system/retentiond@.service.d/downloads.conf
systemctl daemon-reload
for name in a b c; do
	pg -d postgres -c "CREATE DATABASE $name TEMPLATE sample" -c "CREATE ROLE retentiond_$name LOGIN" \
		-c "REVOKE CONNECT ON DATABASE $name FROM PUBLIC" -c "GRANT CONNECT ON DATABASE $name TO retentiond_$name"
	config $name $name
	runuser -u postgres -- retentionctl -d "host=/run/pg dbname=$name" migrate >/dev/null
	runuser -u postgres -- retentionctl -c $name -d "host=/run/pg dbname=$name" grants retentiond_$name | pg -d $name >/dev/null
	install -d -o retentiond -g retentiond -m 750 /var/lib/retentiond/$name
	ok "$name is checked by its name" runuser -u retentiond -- retentiond -t -c $name
done

ok "the template is sound" systemd-analyze verify --man=no /etc/systemd/system/retentiond@.service
ok "exposure is 1.5 at most" systemd-analyze security --offline=true --threshold=15 /etc/systemd/system/retentiond@.service
ok "a name without a file: says which file it tried" sh -c \
	'retentiond -t -c nowhere 2>&1 | grep -q "^/etc/retentiond/nowhere.conf: cannot be opened"'
ok "so does retentionctl" sh -c 'retentionctl -c nowhere journal 2>&1 | grep -q "/etc/retentiond/nowhere.conf: cannot be opened"'

# --- three daemons ---
ok "three start" systemctl start retentiond@a retentiond@b retentiond@c
ok "all are active" active a b c
for name in a b c; do
	ok "$name: its directory is its own" is "$(stat -c '%U %a' /var/lib/retentiond/$name)" "retentiond 750"
	ok "$name: its socket is its own" until_true 10 test -S "/run/retentiond@$name/archives.sock"
	ok "$name: the log tells it from the others" until_true 10 said $name "^ready: "
	ok "$name: its figures have its name" until_true 10 grep -q "^retentiond_up{daemon=\"$name\"} 1$" "/run/retentiond@$name/retentiond-$name.prom"
	ok "$name: retentionctl reaches its database by its name" sh -c \
		"runuser -u retentiond -- retentionctl -c $name policies | grep -q contacts-36m"
done
inside() { nsenter --target "$(show "$1" MainPID)" --mount -- setpriv --reuid retentiond --regid retentiond --clear-groups "${@:2}"; }
ok "a writes into its directory" inside a touch /var/lib/retentiond/a/x
ok "and not into that of b" refused inside a touch /var/lib/retentiond/b/x
rm /var/lib/retentiond/a/x
ok "its role does not reach the database of b" refused runuser -u retentiond -- psql -X -h /run/pg -U retentiond_a -d b -c "SELECT 1"

# --- each runs its job on its own database ---
begin() { # NAME: a pass of the database's; its number
	pg -d "$1" -c "SELECT retention.begin_occurrence('contacts-36m', '0 0 1 * *', now(), now() + interval '1 day',
		'delete_contacts', '36 months', 'full')" | tail -n 1
}
journal() { pg -d "$1" -c "SELECT $3 FROM retention.archive_journal WHERE id = $2"; }
ended() { is "$(journal "$1" "$2" status)" "done"; }
run() { # NAME
	id=$(begin "$1")
	pg -d "$1" -c "NOTIFY retention, 'saved $id'"
	until_true 20 ended "$1" "$id"
}
for name in a b c; do
	ok "$name runs a job" run $name
	ok "$name: its archive is in its own directory" is "$(dirname "$(journal $name "$id" archive_path)")" "/var/lib/retentiond/$name"
	ok "$name has a ledger of its own" test -s /var/lib/retentiond/$name/ledger
done
ok "lines of its jobs have its name, too" sh -c \
	'journalctl --sync; journalctl -o json --output-fields=SYSLOG_IDENTIFIER -u retentiond@a RETENTION_POLICY=contacts-36m |
		grep -q "\"retentiond@a\"" && ! journalctl -o cat -t retentiond@a | grep -q "retentiond@b"'

# --- the page of one of them ---
install -D "$build/retentiond-web" /usr/sbin/retentiond-web
install -D -m 644 /mnt/systemd/retentiond-web.service /etc/systemd/system/retentiond-web@.service
cat >/etc/retentiond/web@a.conf <<CONF
web: { listen = "unix:/run/retentiond-web@a/http.sock"; hosts = [ "a.example" ]; conninfo = "host=/run/pg dbname=a";
       archives = "/run/retentiond@a/archives.sock"; };
CONF
systemctl daemon-reload
ok "the page's template is sound" systemd-analyze verify --man=no /etc/systemd/system/retentiond-web@.service
ok "the page of a starts" systemctl start retentiond-web@a
ok "its socket is its own" test -S /run/retentiond-web@a/http.sock
ok "its log has its name" until_true 5 sh -c 'journalctl --sync; journalctl -t retentiond-web@a -o cat | grep -q "^ready"'
ok "it is reloaded by its name" systemctl reload retentiond-web@a
ok "it reaches the daemon's socket" runuser -u retentiond-web -- python3 -B -c \
	'import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect("/run/retentiond@a/archives.sock")'
ok "its page stops" systemctl stop retentiond-web@a

# --- one directory for two databases ---
config d b
sed -i 's|/var/lib/retentiond/d|/var/lib/retentiond/a|' /etc/retentiond/d.conf
ok "a directory of another database is refused" sh -c \
	'runuser -u retentiond -- retentiond -t -c d 2>&1 | grep -q "archives.directory \"/var/lib/retentiond/a\": it belongs to another database"'
ok "and its daemon does not start" refused systemctl start retentiond@d
ok "the directory's own daemon goes on" active a b c
systemctl stop retentiond@d # it would be tried again

# --- a reload is one daemon's; what is shared is read again ---
first=$(show a MainPID)
sed -i 's/requests-18m/requests-yearly/' /etc/retentiond/shared/policies.conf
ok "reload of a" systemctl reload retentiond@a
ok "a reads the shared file again" until_true 10 said a "^reloaded /etc/retentiond/a.conf"
ok "as the same process" is "$(show a MainPID)" "$first"
listed() { is "$(pg -d "$1" -c "SELECT string_agg(name, ' ' ORDER BY name) FROM retention.policies")" "$2"; }
ok "its policies are the new ones" until_true 10 listed a "contacts-36m requests-yearly"
ok "b has not read it" refused said b "^reloaded"
ok "b has the old ones" listed b "contacts-36m requests-18m"

# --- one fails ---
sed -i 's/36 months/36 moths/' /etc/retentiond/shared/policies.conf
ok "a bad shared file makes the reload fail" refused systemctl reload retentiond@b
ok "the reason names the shared file and the line" until_true 5 sh -c \
	'journalctl --sync; journalctl -u retentiond@b -o cat | grep -q "^/etc/retentiond/shared/policies.conf:[0-9]*: .*36 moths"'
ok "b goes on with what it has" active b
ok "a restart of b fails" refused systemctl restart retentiond@b
ok "a and c go on" active a c
ok "and run jobs" run a
sed -i 's/36 moths/36 months/' /etc/retentiond/shared/policies.conf
systemctl reset-failed retentiond@b
ok "b starts when the file is right" systemctl start retentiond@b

# --- the database of one is away ---
pg -d postgres -c "ALTER DATABASE c ALLOW_CONNECTIONS false" -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'c'" >/dev/null
ok "c notices" until_true 20 said c "^waiting for the database"
ok "a runs a job meanwhile" run a
ok "so does b" run b
pg -d postgres -c "ALTER DATABASE c ALLOW_CONNECTIONS true"
ok "c waits, and works when it is back" run c

# --- one stops ---
systemctl stop retentiond@a
ok "a has stopped, cleanly" is "$(show a ActiveState) $(show a Result)" "inactive success"
ok "its socket is gone with it" test ! -e /run/retentiond@a
ok "b and c go on, with their sockets" sh -c \
	'systemctl -q is-active retentiond@b retentiond@c && test -S /run/retentiond@b/archives.sock && test -S /run/retentiond@c/archives.sock'
ok "all stop" systemctl stop 'retentiond@*'
ok "none is left" refused pgrep -x retentiond
[ $failed = 0 ] || journalctl -t retentiond@a -t retentiond@b -t retentiond@c -t systemd -o short --no-pager | tail -n 60 | sed 's/^/    log: /'
exit $failed
