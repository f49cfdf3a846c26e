"""NGINX under conf/nginx-retentiond-web.conf, changed only in what belongs to a host: addresses, paths, the certificate."""

import http.client
import shutil
import socket
import ssl
import subprocess

from support.harness import REPO, TIMEOUT, wait_until
from support.page import HOST, Client, free_port

SHIPPED = REPO / "conf" / "nginx-retentiond-web.conf"

AROUND = """\
{user}
worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/start.log warn;
events {{ worker_connections 768; }}
http {{
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
{site}
}}
"""


class Nginx:
    """In front of a Page that listens on a socket.  changes: [(as shipped, as wanted)], each of which must be there."""

    prefix = ""

    def __init__(self, folder, page, changes=()):
        self.dir, self.page, self.process = folder, page, None
        folder.mkdir()
        self.port = free_port()
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", f"/CN={HOST}", "-days", "2", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True, timeout=TIMEOUT)
        site = SHIPPED.read_text()
        for old, new in [
                ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"), ("\tlisten [::]:443 ssl http2;\n", ""),
                ("/run/retentiond-web/http.sock", str(page.socket)), ("/etc/ssl/certs/crm.example.pem", str(certificate)),
                ("/etc/ssl/private/crm.example.key", str(key)), ("/var/log/nginx", str(folder)), *changes]:
            assert old in site, old
            site = site.replace(old, new)
        self.conf = folder / "nginx.conf"
        # Run by root, its workers would become a user who cannot reach the folder of the test.
        user = "user root;" if subprocess.run(["id", "-u"], capture_output=True, text=True).stdout.strip() == "0" else ""
        self.conf.write_text(AROUND.format(dir=folder, site=site, user=user))

    def start(self):
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        command = [nginx, "-p", str(self.dir), "-c", str(self.conf), "-e", str(self.dir / "start.log")]
        done = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == 0, done.stderr
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_until(self._answers, what="NGINX answers")
        return self

    def _answers(self):
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(TIMEOUT)

    def context(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def connection(self, timeout=TIMEOUT):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.context())

    def client(self, **kwargs):
        return Client(self, **kwargs)

    def logs(self):
        return "".join(log.read_text() for log in self.dir.glob("*.log"))
