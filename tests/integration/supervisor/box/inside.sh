#!/bin/bash
# Runs in the box: installs what was built (/mnt is the source tree, $1 the build folder in it), and
# tries the unit as an administrator would.  Prints "ok ..." and "not ok ..." lines.
# shellcheck disable=SC2317,SC2016 # functions and commands that ok and until_true call
set -u
# shellcheck source=tests/integration/supervisor/box/host.sh
. /mnt/tests/integration/supervisor/box/host.sh "$1"
show() { systemctl show retentiond -P "$1"; }
pg -d postgres -c "CREATE DATABASE crm" -c "CREATE ROLE retentiond LOGIN"
(cd /mnt/tests/crm && pg -d crm -v contacts=60 -v today="$(date +%F)" -f schema.sql -f generate.sql -f constraints.sql >/dev/null)
ok "migrate" runuser -u postgres -- retentionctl -d "host=/run/pg dbname=crm" migrate
pg -d crm -c "GRANT retention_daemon TO retentiond" -c "GRANT USAGE ON SCHEMA crm TO retentiond" \
	-c "GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA crm TO retentiond"

# --- the configuration ---
install -d /etc/retentiond/models
install -m 644 /mnt/conf/models/crm.conf /etc/retentiond/models/crm.conf
age-keygen -o /run/key 2>/dev/null
config() {
	cat >/etc/retentiond/retentiond.conf <<CONF
database: { conninfo = "host=/run/pg dbname=crm user=retentiond"; timezone = "Europe/Paris"; };
archives: { directory = "/var/lib/retentiond/archives"; recipients = [ "$(age-keygen -y /run/key)" ]; };
limits: { max_share = 1.0; };
notify: { command = [ "/usr/libexec/retentiond/notify-mail", "dpo@example.org" ]; };
@include "models/crm.conf"
policies = ( { name = "$1"; action = "delete_contacts"; depth = "$2"; schedule = "monthly"; archive = "full"; } );
CONF
	chmod 644 /etc/retentiond/retentiond.conf
}
config contacts-36m "36 months"
# A watchdog that a test can wait for.
install -d /etc/systemd/system/retentiond.service.d
printf '[Service]\nWatchdogSec=2s\nRestartSec=100ms\n' >/etc/systemd/system/retentiond.service.d/test.conf
systemctl daemon-reload

ok "the unit is sound" systemd-analyze verify --man=no /etc/systemd/system/retentiond.service
ok "exposure is 1.5 at most" systemd-analyze security --offline=true --threshold=15 /etc/systemd/system/retentiond.service

# What retentiond -t cannot know: the folder is its own, and the unit may not write there.
ok "check-service accepts the service" /usr/libexec/retentiond/check-service
install -d -o retentiond -m 700 /srv/archives
sed 's,"/var/lib/retentiond/archives","/srv/archives",' /etc/retentiond/retentiond.conf >/etc/retentiond/elsewhere.conf
ok "retentiond -t accepts a folder elsewhere" runuser -u retentiond -- retentiond -t -c elsewhere
ok "check-service says that the unit forbids it" sh -c \
	'/usr/libexec/retentiond/check-service elsewhere 2>&1 | grep "srv/archives.*Read-only file system"'
ok "no unit is left of it" sh -c '! ls /run/systemd/system/retentiond-check*'
rm /etc/retentiond/elsewhere.conf

# A sendmail that keeps what it is told, where the sandbox lets the daemon write.
printf '#!/bin/sh\ncat >>/var/lib/retentiond/mail\n' >/usr/sbin/sendmail
chmod 755 /usr/sbin/sendmail

# --- start, reload ---
ok "start waits for READY" systemctl start retentiond
first=$(show MainPID)
ok "it is active" systemctl -q is-active retentiond
ok "STATUS says what comes next" until_true 10 sh -c 'systemctl show retentiond -P StatusText | grep -q contacts-36m'
config contacts-18m "18 months"
ok "a good file is reloaded" systemctl reload retentiond
ok "and is in force" until_true 10 sh -c 'systemctl show retentiond -P StatusText | grep -q contacts-18m'
sed -i 's/18 months/18 moths/' /etc/retentiond/retentiond.conf
ok "a bad file makes the reload fail" sh -c '! systemctl reload retentiond'
ok "the reason is in the log" until_true 5 sh -c 'journalctl --sync; journalctl -u retentiond -o cat | grep -q "18 moths"'
ok "the old configuration is kept, by the same process" sh -c \
	"[ \$(systemctl show retentiond -P MainPID) = $first ] && systemctl show retentiond -P StatusText | grep -q contacts-18m"
config contacts-18m "18 months"

# --- a job in the sandbox: saved, validated, done, its archive written ---
day=$(pg -d crm -c "SELECT max(created_at)::date - 900 FROM crm.request")
id=$(pg -d crm -c "SELECT retention.save_action('export', '$day', ('$day'::date + interval '1 month' - interval '1 day')::date)")
listed() { is "$(pg -d crm -c "SELECT frozen_at IS NOT NULL FROM retention.archive_journal WHERE id = $id")" t; }
ok "the daemon lists what was saved" until_true 15 listed
# Whatever that month holds, the export must have something to write.
pg -d crm -c "SELECT retention.validate_action($id)" >/dev/null
ended() { is "$(pg -d crm -c "SELECT status FROM retention.archive_journal WHERE id = $id")" "done"; }
ok "the action is done" until_true 20 ended
policy=$(runuser -u retentiond -- psql -X -q -At -h /run/pg -d crm -c \
	"SELECT retention.begin_occurrence('contacts-18m', '0 0 1 * *', now(), now() + interval '1 day', 'delete_contacts', '18 months', 'full')")
pg -d crm -c "NOTIFY retention, 'saved $policy'"
erased() { is "$(pg -d crm -c "SELECT status FROM retention.archive_journal WHERE id = $policy")" "done"; }
ok "a pass deletes in the sandbox" until_true 20 erased
archive=$(pg -d crm -c "SELECT archive_path FROM retention.archive_journal WHERE id = $policy")
ok "somebody is told, in the sandbox" until_true 20 grep -q "^Subject: retentiond: done" /var/lib/retentiond/mail
ok "the archive verifies" sh -c "cd '$archive' && sha256sum -c SHA256SUMS"
ok "it is the daemon's alone" is "$(stat -c '%U %a' "$archive" "$archive/contact.csv.age" | tr '\n' ' ')" "retentiond 700 retentiond 600 "

ok "it was encrypted in the sandbox" sh -c "age -d -i /run/key '$archive/contact.csv.age' | head -n 1 | grep -q id"
ok "nothing of it is plain" is "$(find /var/lib/retentiond/archives -name '*.csv*' ! -name '*.age')" ""
pg -d crm -c "SELECT retention.delete_archive($policy)" >/dev/null
gone() { [ ! -e "$archive" ] && [ ! -e "$archive.deleted" ] && is "$(pg -d crm -c "SELECT archive_removed_at IS NOT NULL FROM retention.archive_journal WHERE id = $policy")" t; }
ok "it is removed when it was deleted" until_true 20 gone

# --- journald's fields ---
journalctl --sync
field() { journalctl -o json --output-fields="$1" RETENTION_JOB="$policy" | grep -q "\"$1\""; }
ok "RETENTION_JOB finds the job's lines" sh -c "[ \$(journalctl -o cat RETENTION_JOB=$policy | wc -l) -ge 2 ]"
ok "RETENTION_POLICY is there" field RETENTION_POLICY
ok "RETENTION_ACTION is there" field RETENTION_ACTION
ok "MESSAGE_ID is there" field MESSAGE_ID

# --- the sandbox, as the daemon's process sees it ---
ok "nothing that the daemon does is forbidden by it" sh -c \
	'! journalctl -u retentiond -o cat --no-pager | grep -i "not implemented\|not permitted"'
ok "no capability" sh -c "grep -q '^CapBnd:.0000000000000000' /proc/\$(systemctl show retentiond -P MainPID)/status"
ok "no new privileges, system calls filtered" sh -c \
	"grep -q '^NoNewPrivs:.1' /proc/\$(systemctl show retentiond -P MainPID)/status && grep -q '^Seccomp:.2' /proc/\$(systemctl show retentiond -P MainPID)/status"
ok "the rest of the system is read-only" sh -c \
	"nsenter --target \$(systemctl show retentiond -P MainPID) --mount -- sh -c '! touch /etc/x /usr/x /var/lib/x'"

# --- the watchdog ---
kill -STOP "$(show MainPID)"
ok "a daemon that hangs is restarted" until_true 20 sh -c \
	'[ "$(systemctl show retentiond -P NRestarts)" -ge 1 ] && systemctl -q is-active retentiond'
journalctl --sync
ok "by the watchdog" sh -c 'journalctl -u retentiond -o cat | grep -q "Watchdog timeout"'

# --- the page beside it ---
# shellcheck source=tests/integration/supervisor/box/page.sh
. /mnt/tests/integration/supervisor/box/page.sh

# --- a database on another host, and the drop-ins ---
said() { journalctl --sync; journalctl -t "$1" -o cat --no-pager | grep -q "$2"; }
drop_in() { # NAME, for all instances
	install -D -m 644 "/mnt/systemd/retentiond-$1.conf" "/etc/systemd/system/retentiond@.service.d/$1.conf"
}
ip address add 192.0.2.10/32 dev lo # no server listens there
sed 's|host=/run/pg|host=192.0.2.10|; s|/var/lib/retentiond/archives|/var/lib/retentiond/away|; s|web_socket = [^;]*;||' \
	/etc/retentiond/retentiond.conf >/etc/retentiond/away.conf
install -d -o retentiond -g retentiond -m 750 /var/lib/retentiond/away
systemctl start --no-block retentiond@away
ok "the log says that the unit forbids another host" until_true 25 said retentiond@away "no connection within 15 s; the service unit.*retentiond-database.conf"
drop_in database
systemctl daemon-reload
systemctl restart --no-block retentiond@away
ok "the drop-in allows it" until_true 10 said retentiond@away "192.0.2.10.*Connection refused"
systemctl stop retentiond@away

# --- a webhook on another host ---
config contacts-18m "18 months"
sed -i 's|^notify: .*|notify: { command = [ "/usr/libexec/retentiond/notify-webhook", "http://192.0.2.20:9/" ]; };|' /etc/retentiond/retentiond.conf
ip address add 192.0.2.20/32 dev lo # no server listens there
systemctl reload retentiond
pg -d crm -c "SELECT retention.cancel_action(retention.save_action('export', '2024-01-01', '2024-01-31'))" \
	-c "SELECT retention.save_action('export', '2024-01-01', '2024-01-31')" >/dev/null
ok "the unit lets curl connect to no other host" until_true 60 said retentiond "nobody was told of event.*notify-webhook has ended with exit status \(7\|28\)"
ok "curl says so in the log" said retentiond "curl: (\(7\|28\))"

install -m 644 /mnt/systemd/retentiond-failure@.service /etc/systemd/system/
drop_in failure
printf '[Service]\nRestartSec=100ms\n' >/etc/systemd/system/retentiond@.service.d/test.conf
printf '#!/bin/sh\n{ echo "$*"; cat; } >/run/mail.new && mv /run/mail.new /run/mail\n' >/usr/bin/mail
chmod 755 /usr/bin/mail
echo "nonsense" >/etc/retentiond/bad.conf
systemctl daemon-reload
ok "the drop-ins are sound" systemd-analyze verify --man=no retentiond@bad.service retentiond-failure@retentiond@bad.service
systemctl start --no-block retentiond@bad
ok "a daemon that cannot start is told by mail" until_true 20 grep -q "^-s retentiond@bad has failed" /run/mail
ok "with the reason" sh -c 'grep -q "bad.conf:[0-9]*: syntax error" /run/mail || { cat /run/mail; false; }'

# --- stop ---
begun=$(date +%s)
ok "stop" systemctl stop retentiond
ok "within its time-out, and cleanly" sh -c "[ \$((\$(date +%s) - $begun)) -le 6 ] && [ \$(systemctl show retentiond -P Result) = success ]"
[ $failed = 0 ] || journalctl -u retentiond -o cat --no-pager | tail -n 40 | sed 's/^/    log: /'
exit $failed
