#!/bin/bash
# Runs in the container of check.sh, step by step, as an administrator would: /mnt has the packages (new/, old/) and the
# sample (crm/).  The database is Debian's, the configuration the shipped one with two changes.
# shellcheck disable=SC2317 # functions that ok and until_true call
set -u
# shellcheck source=tests/integration/supervisor/box/steps.sh
. /mnt/steps.sh
export DEBIAN_FRONTEND=noninteractive
# As unattended-upgrades does: a file that somebody has changed is kept.
apt() { apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null; }
pg() { runuser -u postgres -- psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
crm() { pg -d crm -c "$1"; }
ctl() { runuser -u retentiond -- retentionctl "$@"; }
refused() { ! "$@"; }
pid() { systemctl show "$1" -P MainPID; }
active() { is "$(systemctl is-active "$@" | sort -u)" active; }
inactive() { is "$(systemctl is-active "$@" | sort -u)" inactive; }
enabled() { is "$(systemctl is-enabled "$1" 2>&1)" "$2"; }
units='retentiond retentiond@acme retentiond-web'

# --- the version before, on a fresh host ---
ok "the version before is installed" apt install /mnt/old/retentiond*.deb
for unit in retentiond retentiond-web; do
	ok "$unit is not enabled" enabled $unit disabled
	ok "$unit does not run" inactive $unit
	ok "$unit.service is sound" systemd-analyze verify --man=yes $unit.service
	ok "$unit@.service is sound" systemd-analyze verify --man=yes $unit@x.service
	ok "$unit has a user of its own" is "$(getent passwd $unit | cut -d: -f7)" /usr/sbin/nologin
done
ok "the archives' folder is the daemon's alone" is "$(stat -c '%U %a' /var/lib/retentiond/archives)" "retentiond 700"
for program in retentiond retentionctl retentiond-web /usr/libexec/retentiond/retention-job; do
	ok "$program runs" $program --version
done
ok "it speaks French, beside locale(1)" sh -c 'LC_ALL=C.UTF-8 LANGUAGE=fr retentionctl journal --help | grep -q "^utilisation"'
for page in retentiond.8 retentionctl.1 retentiond-web.8 retentiond.conf.5 web.conf.5; do
	ok "the manual has $page" man -w "${page##*.}" "${page%.*}"
done

# --- README, "Step by step" ---
ok "PostgreSQL runs" systemctl start postgresql
pg -c "CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'" -c "CREATE ROLE retentiond LOGIN"
(cd /mnt/crm && pg -d crm -v contacts=1000 -v today="$(date +%F)" -f schema.sql -f generate.sql -f constraints.sql >/dev/null)
pg -c "CREATE DATABASE acme TEMPLATE crm"
for database in crm acme; do
	ok "$database: migrate" runuser -u postgres -- retentionctl -d dbname=$database migrate
done
sed -i 's/max_share = .*/max_share = 1.0;/; s/rows_per_second = .*/rows_per_second = 100;/' \
	/etc/retentiond/retentiond.conf
sed 's/"dbname=crm"/"dbname=acme"/; s,"/var/lib/retentiond/archives","/var/lib/retentiond/acme",' \
	/etc/retentiond/retentiond.conf >/etc/retentiond/acme.conf
install -d -o retentiond -g retentiond -m 750 /var/lib/retentiond/acme
for name in retentiond acme; do
	database=${name/retentiond/crm}
	runuser -u postgres -- retentionctl -c "$name" -d "dbname=$database" grants retentiond | pg -d "$database" >/dev/null 2>&1
	ok "$name.conf is accepted" runuser -u retentiond -- retentiond -t -c $name
done
sed -i 's/"crm.example"/"ours.example"/' /etc/retentiond/web.conf
# shellcheck disable=SC2086 # one word a unit
ok "all start" systemctl enable --now $units
# shellcheck disable=SC2086
ok "all are active" active $units

# --- upgraded while a pass runs ---
contacts=$(crm "SELECT count(*) FROM crm.contact")
job=$(crm "SELECT retention.begin_occurrence('contacts-36m', 'monthly', now(), now() + interval '1 day',
	'delete_contacts', '36 months', 'full')")
crm "NOTIFY retention, 'saved $job'"
erasing() { is "$(crm "SELECT count(*) < $contacts FROM crm.contact")" t; }
job_is() { is "$(crm "SELECT status FROM retention.archive_journal WHERE id = $job")" "$1"; }
ok "the pass erases" until_true 60 erasing
ok "and has not ended" job_is running
# Read when the daemon starts again.
sed -i 's/rows_per_second = .*/rows_per_second = 0;/' /etc/retentiond/retentiond.conf
for unit in $units; do pid "$unit"; done >/run/pids.before
ok "the new version is installed" apt install /mnt/new/retentiond*.deb
version=$(dpkg-deb -f /mnt/new/retentiond_*.deb Version)
ok "it is the new one" is "$(dpkg-query -W -f '${Version} ' retentiond retentiond-web)" "$version $version "
# shellcheck disable=SC2086
ok "all run" active $units
for unit in $units; do pid "$unit"; done >/run/pids.after
ok "none is the old process" is "$(sort /run/pids.before /run/pids.after | uniq -d)" ""
ok "the pass ends under the new version" until_true 60 job_is "done"
archive=$(crm "SELECT archive_path FROM retention.archive_journal WHERE id = $job")
gone=$((contacts - $(crm "SELECT count(*) FROM crm.contact")))
# Values hold line ends, so that PostgreSQL itself counts the rows.
columns=$(head -n 1 "$archive/contact.csv" | tr -d '"\357\273\277\r' | sed 's/;/","/g; s/.*/"&"/')
kept=$(pg -d crm -c "CREATE TEMP TABLE kept (LIKE crm.contact)" \
	-c "COPY kept ($columns) FROM STDIN (FORMAT csv, DELIMITER ';', HEADER)" \
	-c "SELECT count(*) || ' ' || count(DISTINCT id) FROM kept" <"$archive/contact.csv")
ok "each contact that went is in the archive once" is "$kept" "$gone $gone"
ok "the archive verifies" ctl archive verify "$job"
ok "so does the journal" ctl verify
ok "what was changed in a configuration file is kept" grep -q '^  max_share = 1.0' /etc/retentiond/retentiond.conf
ok "the page's, too" grep -q ours.example /etc/retentiond/web.conf
ok "a file that nobody changed is the new one" refused grep -q "As it was in the version before" /etc/retentiond/models/crm.conf

# --- what is stopped stays stopped ---
systemctl stop retentiond-web
ok "the same version once more" apt install --reinstall /mnt/new/retentiond*.deb
ok "the page was stopped, and is not started" inactive retentiond-web
ok "the daemons run" active retentiond retentiond@acme

# --- removed, and installed again ---
ok "both are removed" apt remove retentiond retentiond-web
ok "nothing of them runs" refused pgrep -u retentiond
ok "the configuration stays" grep -q '^  max_share = 1.0' /etc/retentiond/retentiond.conf
ok "the archive stays" test -s "$archive/SHA256SUMS"
ok "both are installed again" apt install /mnt/new/retentiond*.deb
ok "nothing is started by that" inactive retentiond retentiond@acme retentiond-web
ok "the daemon is still configured" systemctl start retentiond
ok "its archive verifies" ctl archive verify "$job"

# --- purged ---
echo "# mine" >/etc/retentiond/models/ours.conf
apt purge retentiond retentiond-web >/run/purge.log 2>&1
ok "purged" is "$?" 0
ok "it says what stays" grep -q "the following stays" /run/purge.log
ok "nothing of them runs" refused pgrep -u retentiond
ok "the programs are gone" is "$(ls /usr/sbin/retentiond* /usr/bin/retention* /usr/libexec/retentiond /lib/systemd/system/retentiond* 2>/dev/null)" ""
ok "so are the links of the units" is "$(find /etc/systemd/system -name 'retention*')" ""
ok "of the configuration what was added stays" is "$(cd /etc/retentiond && find . -type f | sort | tr '\n' ' ')" "./acme.conf ./models/ours.conf "
ok "the archive stays" sh -c "cd '$archive' && sha256sum -c SHA256SUMS"
ok "the ledger stays" test -s /var/lib/retentiond/archives/ledger
ok "the schema stays" job_is "done"

# --- and installed anew ---
ok "installed after the purge" apt install /mnt/new/retentiond*.deb
ok "the configuration is the shipped one" grep -q '^  max_share = 0.25' /etc/retentiond/retentiond.conf
for unit in retentiond retentiond-web; do
	ok "$unit is not enabled" enabled $unit disabled
	ok "$unit does not run" inactive $unit
done
sed -i 's/max_share = .*/max_share = 1.0;/' /etc/retentiond/retentiond.conf
ok "the archive is the daemon's again" ctl archive verify "$job"
ok "and the daemon works on" systemctl start retentiond
ok "nothing that the daemons do is forbidden to them" refused sh -c "journalctl -u 'retentiond*' -o cat | grep -i 'not implemented\|not permitted'"
[ $failed = 0 ] || { tail -n 20 /run/purge.log; journalctl -u 'retentiond*' -o short --no-pager | tail -n 40; } | sed 's/^/    log: /'
exit $failed
