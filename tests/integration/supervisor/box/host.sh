# shellcheck shell=bash disable=SC2034,SC2317 # is read by the scripts of the box, which use its variables and functions
# The host in the box: the programs and units as `make install` has them (/mnt is the source tree, $1 the build folder in
# it), and a PostgreSQL.
build=/mnt/$1
# shellcheck source=tests/integration/supervisor/box/steps.sh
. /mnt/tests/integration/supervisor/box/steps.sh

# --- installed as `make install` does ---
install -D "$build/retentiond" /usr/sbin/retentiond
install -D "$build/retentionctl" /usr/sbin/retentionctl
install -D "$build/retention-job" /usr/libexec/retentiond/retention-job
# The job is looked for beside the program first: in the box both ways must lead to the same.
install -D "$build/retention-job" /usr/sbin/retention-job
install /mnt/conf/notify-mail /mnt/conf/notify-webhook /mnt/conf/check-service /usr/libexec/retentiond
for unit in retentiond retentiond@; do
	install -D -m 644 /mnt/systemd/retentiond.service /etc/systemd/system/$unit.service
done
for name in retentiond retentiond-web; do
	install -D -m 644 /mnt/systemd/$name.sysusers /usr/lib/sysusers.d/$name.conf
done
install -D -m 644 /mnt/systemd/retentiond.tmpfiles /usr/lib/tmpfiles.d/retentiond.conf
ok "sysusers makes the user" systemd-sysusers
ok "tmpfiles makes the folders" systemd-tmpfiles --create /usr/lib/tmpfiles.d/retentiond.conf
ok "the archives' folder is the daemon's alone" is "$(stat -c '%U %a' /var/lib/retentiond/archives)" "retentiond 700"

# --- a PostgreSQL of the box's own, peer authentication ---
pgbin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort -V | tail -n 1)
install -d -o postgres /run/pg
runuser -u postgres -- "$pgbin/initdb" -D /run/pg/data -A peer -N >/dev/null
cat >/run/systemd/system/pg.service <<UNIT
[Service]
Type=notify
User=postgres
ExecStart=$pgbin/postgres -D /run/pg/data -k /run/pg -c listen_addresses=
KillMode=mixed
KillSignal=SIGINT
UNIT
systemctl daemon-reload
systemctl start pg
pg() { runuser -u postgres -- psql -X -q -At -h /run/pg -v ON_ERROR_STOP=1 "$@"; }
