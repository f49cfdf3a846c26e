# shellcheck shell=bash disable=SC2154,SC2317,SC2016 # read by inside.sh, whose functions it uses
# The unit of the page, as an administrator would set it up: its user, its sandbox, its socket, a log-in through it.
page() { systemctl show retentiond-web -P "$1"; }
install -D "$build/retentiond-web" /usr/sbin/retentiond-web
install -D -m 644 /mnt/systemd/retentiond-web.service /etc/systemd/system/retentiond-web.service
sed 's|host=/run/postgresql|host=/run/pg|' /mnt/conf/web.conf >/etc/retentiond/web.conf
chmod 644 /etc/retentiond/web.conf

# A person with a password; peer stays for all others.
pg -d crm -c "CREATE ROLE page_person" -c "CREATE ROLE \"claire.martin\" LOGIN PASSWORD 'secret' IN ROLE page_person, retention_operator"
sed -i '1i local all +page_person scram-sha-256' /run/pg/data/pg_hba.conf
systemctl reload pg 2>/dev/null || pg -d postgres -c "SELECT pg_reload_conf()" >/dev/null

systemctl daemon-reload
ok "the page's unit is sound" systemd-analyze verify --man=no /etc/systemd/system/retentiond-web.service
ok "its exposure is 1.5 at most" systemd-analyze security --offline=true --threshold=15 /etc/systemd/system/retentiond-web.service
ok "the page's start waits for READY" systemctl start retentiond-web
ok "the page is active" systemctl -q is-active retentiond-web
ok "its process is the page's user" is "$(stat -c %U "/proc/$(page MainPID)")" retentiond-web
ok "its socket is its group's" is "$(stat -c '%U %G %a' /run/retentiond-web /run/retentiond-web/http.sock | tr '\n' ' ')" \
	"retentiond-web retentiond-web 750 retentiond-web retentiond-web 660 "

cat >/run/visit.py <<'PYTHON'
import sys
sys.path.insert(0, "/mnt/tests/integration")
from support.page import Client, UnixConnection
class Here:
    prefix = ""
    @staticmethod
    def connection(timeout):
        return UnixConnection("/run/retentiond-web/http.sock", timeout)
client = Client(Here, headers={"Host": "crm.example"})
answer = client.log_in("claire.martin", sys.argv[1])
print(answer, answer.words)
sys.exit(0 if answer.status == int(sys.argv[2]) else 1)
PYTHON
usermod -aG retentiond-web www-data
as() { runuser -u "$1" -- "${@:2}"; }
ok "a person logs in through it" as www-data python3 -B /run/visit.py secret 200
ok "and not with a wrong password" as www-data python3 -B /run/visit.py wrong 401
ok "others do not reach the socket" sh -c '! runuser -u nobody -- python3 -B /run/visit.py secret 200'

# What the page's user sees, inside the unit and outside of it.
inside() { nsenter --target "$(page MainPID)" --mount -- setpriv --reuid retentiond-web --regid retentiond-web --clear-groups "$@"; }
refused() { ! "$@"; }
ok "its own file can be read" inside cat /etc/retentiond/web.conf
ok "the archives cannot be seen" refused inside ls /var/lib/retentiond
ok "nor the daemon's configuration" refused inside cat /etc/retentiond/retentiond.conf
ok "nor the archives by the user itself" refused as retentiond-web ls /var/lib/retentiond
ok "the user has no shell and no home" is "$(getent passwd retentiond-web | cut -d: -f6,7)" "/:/usr/sbin/nologin"
for folder in /run /etc /usr /var/lib /var/log; do
	ok "nothing can be written in $folder" refused inside touch $folder/x
done
ok "PostgreSQL takes no log-in of the user" refused as retentiond-web psql -X -h /run/pg -d crm -c "SELECT 1"
ok "no capability, no new privileges, system calls filtered" sh -c \
	"grep -c '^CapBnd:.0000000000000000\|^NoNewPrivs:.1\|^Seccomp:.2' /proc/$(page MainPID)/status | grep -q 3"

first=$(page MainPID)
sed -i 's/idle = "15min"/idle = "10min"/' /etc/retentiond/web.conf
ok "the page's file is reloaded" systemctl reload retentiond-web
sed -i 's/idle = "10min"/idle = "10 minutes"/' /etc/retentiond/web.conf
ok "a bad one makes its reload fail" sh -c '! systemctl reload retentiond-web'
ok "the page goes on, as the same process" is "$(page MainPID) $(page ActiveState)" "$first active"

# Archives are handed out to the page's user alone.
sed -i 's|recipients = |web_socket = "/run/retentiond/archives.sock"; recipients = |' /etc/retentiond/retentiond.conf
install -D -m 644 /mnt/systemd/retentiond-downloads.conf /etc/systemd/system/retentiond.service.d/downloads.conf
systemctl daemon-reload
ok "the daemon's unit is sound with the drop-in" systemd-analyze verify --man=no retentiond.service
ok "the daemon starts with a socket for downloads" systemctl restart retentiond
ok "the socket is the page's group's" until_true 10 sh -c \
	'[ "$(stat -c "%U %G %a" /run/retentiond/archives.sock)" = "retentiond retentiond-web 660" ]'
cat >/run/ask.py <<'PYTHON'
import socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
sock.settimeout(5)
sock.connect("/run/retentiond/archives.sock")
try:
    sock.send(b"no ticket")
    print(sock.recv(1000))
except OSError as e:
    print(e)
PYTHON
ok "the page's user reaches it" as retentiond-web python3 -B /run/ask.py
as www-data python3 -B /run/ask.py >/dev/null
ok "another member of the group is refused" until_true 5 sh -c \
	'journalctl --sync; journalctl -u retentiond -o cat | grep -q "web_socket: user $(id -u www-data) is refused"'
ok "the page's user is not" sh -c \
	'! journalctl -u retentiond -o cat | grep -q "web_socket: user $(id -u retentiond-web) is refused"'

ok "the page stops" systemctl stop retentiond-web
ok "cleanly" is "$(page Result)" success
[ "$failed" = 0 ] || journalctl -u retentiond-web -o cat --no-pager | tail -n 30 | sed 's/^/    page: /'
