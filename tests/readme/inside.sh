#!/bin/bash
# inside.sh packages|source: runs README's blocks (/mnt/blocks) in the container of check.sh, as a user with sudo who has
# this tree (/mnt/tree), a PostgreSQL and a database of a dozen tables.  What is done here besides is what such a host
# has, what a person decides (editor.sh), and what must be true afterwards.
# shellcheck disable=SC2317 # functions that ok and until_true call
set -u
# shellcheck source=tests/integration/supervisor/box/steps.sh
. /mnt/steps.sh
pg() { runuser -u postgres -- psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
crm() { pg -d crm -c "$1"; }
you() { runuser -u you -- env HOME=/home/you USER=you SUDO_EDITOR=/home/you/editor.sh "$@"; }
run() { (cd /home/you/retentiond && you bash -eo pipefail "$1" <../answers); }
said() { grep -q "$1" /run/said; }
refused() { ! "$@"; }
blocks() { # NAME...: runs them, up to the first that fails
	local name
	for name in "$@"; do
		ok "$(head -n 1 "/mnt/blocks/$name" | cut -c 3-) $name" run "/mnt/blocks/$name"
		cat /tmp/ok.log >>/run/said
		[ $failed = 0 ] || { tail -n 20 /tmp/ok.log; journalctl -u 'retentiond*' -o cat --no-pager | tail -n 20; exit 1; }
	done
}

# --- the host ---
echo "127.0.1.1 $(uname -n)" >>/etc/hosts
useradd -m -s /bin/bash you
useradd -m alice
echo "you ALL=(ALL:ALL) NOPASSWD: ALL" >/etc/sudoers.d/you
cp /mnt/editor.sh /home/you/editor.sh
cp -r /mnt/tree /home/you/retentiond
touch /home/you/connect
printf '%s\n' "horse battery" "horse battery" >/home/you/answers # the password, twice
chown -R you:you /home/you
chmod 755 /home/you/editor.sh
ok "PostgreSQL runs" systemctl start postgresql
pg -c "CREATE DATABASE crm TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
ok "there is a database" pg -d crm -f /mnt/schema.sql

# --- the first pass ---
case $1 in
packages)
	blocks packages-1
	ok "nothing is started by that" refused systemctl is-active retentiond
	blocks or-in-short-1 or-in-short-2
	;;
source)
	blocks or-without-packages-1 step-by-step-{1..10}
	;;
esac
ok "it says that the configuration is right, twice" is "$(grep -c '^configuration OK$' /run/said)" 2
ok "a third of the contacts is gone" is "$(crm "SELECT count(*) FROM crm.contact")" 200
ok "with all that hung off them" is "$(crm "SELECT count(*) FROM crm.message")" 400
ok "nobody else is" is "$(crm "SELECT count(*) FROM crm.contact WHERE id % 3 = 0")" 0
ok "the daemon runs" is "$(systemctl is-active 'retentiond*')" active

# --- what check-service is for ---
[ "$1" = source ] || exit $failed
service() { /usr/libexec/retentiond/check-service "$@"; }
install -d -o retentiond -m 700 /srv/archives
install -d /etc/systemd/system/retentiond@elsewhere.service.d
sed 's,"/var/lib/retentiond/archives","/srv/archives",' /etc/retentiond/retentiond.conf >/etc/retentiond/elsewhere.conf
ok "check-service finds what the unit forbids" refused service elsewhere
printf '[Service]\nReadWritePaths=/srv/archives\n' >/etc/systemd/system/retentiond@elsewhere.service.d/x.conf
ok "and what a drop-in allows" service elsewhere
ok "the daemon runs on" is "$(systemctl is-active retentiond)" active
ok "and has its folder" test -d /run/retentiond
rm -r /etc/systemd/system/retentiond@elsewhere.service.d /etc/retentiond/elsewhere.conf

# --- the other host: this one, by an address that is not its own loopback's ---
ip address add 192.0.2.10/32 dev lo
echo "192.0.2.10 db.example" >>/etc/hosts
cluster=$(echo /etc/postgresql/*/main)
certificates=$(mktemp -d)
(
	cd "$certificates" || exit
	openssl req -x509 -newkey rsa:2048 -nodes -subj "/CN=ours" -keyout ca.key -out ca.pem
	for name in db.example retentiond; do
		openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout $name.key -out $name.csr
		openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.crt
	done
	install -o postgres -m 600 db.example.crt db.example.key ca.pem /var/lib/postgresql
	install -o you ca.pem retentiond.crt retentiond.key /home/you/retentiond
) >/dev/null 2>&1
cat >"$cluster/conf.d/other-host.conf" <<'CONF'
listen_addresses = 'localhost,192.0.2.10'
ssl = on
ssl_ca_file = '/var/lib/postgresql/ca.pem'
ssl_cert_file = '/var/lib/postgresql/db.example.crt'
ssl_key_file = '/var/lib/postgresql/db.example.key'
CONF
hba() { # METHOD
	sed -i '/192\.0\.2/d' "$cluster/pg_hba.conf"
	sed -i "1i hostssl crm retentiond 192.0.2.0/24 $1" "$cluster/pg_hba.conf"
	systemctl restart postgresql
}
connected() { is "$(crm "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'retentiond' AND host(client_addr) = '192.0.2.10'")" t; }
other=a-database-on-another-host

hba scram-sha-256
echo password >/home/you/connect
blocks $other-1 $other-2 $other-4
ok "the daemon is connected by the password" until_true 30 connected

hba cert
echo certificate >/home/you/connect
rm /etc/retentiond/pgpass /etc/systemd/system/retentiond.service.d/password.conf
blocks $other-3 $other-4
ok "the daemon is connected by its certificate" until_true 30 connected
ok "its archive is still its own" runuser -u retentiond -- retentionctl archive verify 1
printf '[crm]\nhost=db.example\ndbname=crm\nuser=retentiond\nsslmode=verify-full\nsslrootcert=%s\nsslcert=%s\nsslkey=%s\n' \
	/etc/retentiond/ca.pem /etc/retentiond/retentiond.crt /etc/retentiond/retentiond.key >/etc/postgresql-common/pg_service.conf
echo service >/home/you/connect
blocks $other-4
ok "the daemon is connected by a section of pg_service.conf" until_true 30 connected
rm -r /etc/systemd/system/retentiond.service.d
ok "without the drop-in the unit refuses the address" refused service
exit $failed
