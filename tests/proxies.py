"""nginx and Caddy before a server, with the files of `deploy/` in which only host, ports and paths are others."""

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from config.children import start_child, stop_child
from tests.authorities import make_authority
from tests.databases import free_port
from tests.image import ROOT
from tests.programs import program

PATIENCE_SECONDS = 30
# Another address than the proxy's own, on loopback too.
CLIENT = "127.0.0.2"


@dataclass(frozen=True)
class Proxy:
    """A running proxy: its ports on 127.0.0.1, and the certificate of the authority to trust."""

    host: str
    http_port: int
    https_port: int
    authority: Path

    def connect(self) -> HTTPConnection:
        """A connection by TLS to the host's name, whose certificate is verified."""
        context = ssl.create_default_context(cafile=self.authority)
        plain = socket.create_connection(("127.0.0.1", self.https_port), timeout=15, source_address=(CLIENT, 0))
        connection = HTTPConnection(self.host)
        connection.sock = context.wrap_socket(plain, server_hostname=self.host)
        return connection

    def ask(self, method: str, path: str, body: str | bytes | None = None, **headers: str) -> HTTPResponse:
        """The whole answer; `x_api_key` is the header X-Api-Key."""
        connection = self.connect()
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            response.content = response.read()
            return response
        finally:
            connection.close()


@contextmanager
def nginx(folder: Path, host: str, upstream_port: int) -> Iterator[Proxy]:
    proxy = Proxy(host, free_port(), free_port(), folder / "authority.pem")
    make_authority(folder).server(host)
    site = (ROOT / "deploy/nginx.conf").read_text()
    for pattern, replacement in (
        (r"listen \[::\]:\d+.*", ""),
        (r"listen 80;", f"listen 127.0.0.1:{proxy.http_port};"),
        (r"listen 443 ssl;", f"listen 127.0.0.1:{proxy.https_port} ssl;"),
        (r"127\.0\.0\.1:8000", f"127.0.0.1:{upstream_port}"),
        (r"frontdesk\.example\.com;", f"{host};"),
        (r"/etc/letsencrypt/live/\S+\.pem", f"{folder}/{host}.pem"),
        (r"/var/www/html", str(folder)),
    ):
        site, changes = re.subn(pattern, replacement, site)
        assert changes, pattern
    (folder / "site.conf").write_text(site)
    with _running(_nginx_command(folder), folder, proxy):
        yield proxy


@dataclass(frozen=True)
class Balancer:
    """`port` is on 127.0.0.1. `log` has a line for each request: the nodes that it was sent to, divided by commas."""

    port: int
    log: Path

    @property
    def repeated(self) -> int:
        """How many requests it sent to a second node."""
        return self.log.read_text().count(",")


@contextmanager
def balancer(folder: Path, ports: Sequence[int]) -> Iterator[Balancer]:
    """nginx by plain http before several nodes, as docs/scale.md has it."""
    own_port = free_port()
    nodes = "".join(f"server 127.0.0.1:{port};\n" for port in ports)
    text = (ROOT / "docs/scale.md").read_text().partition("   upstream frontdesk {")[2].partition("   ```")[0]
    site = "upstream frontdesk {\n" + nodes + text[text.index("   }") :]
    for pattern, replacement in ((r"listen 443 ssl;", f"listen 127.0.0.1:{own_port};"), (r"ssl_certificate.*;", "")):
        site, changes = re.subn(pattern, replacement, site)
        assert changes, pattern
    (folder / "site.conf").write_text(f"log_format sent '$upstream_addr';\n{site}")
    command = _nginx_command(folder, access_log=f"{folder}/sent sent")
    with (folder / "output").open("ab") as output:
        process = start_child(command, cwd=folder, env={}, stdout=output, stderr=output)
    try:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", own_port), timeout=2).close()
                break
            assert process.poll() is None, (folder / "output").read_text() + (folder / "log").read_text()
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        yield Balancer(own_port, folder / "sent")
    finally:
        stop_child(process, patience_seconds=10)


def _nginx_command(folder: Path, access_log: str = "off") -> list[str]:
    """nginx in the foreground, with the site of `folder`/site.conf."""
    places = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid;\nerror_log {folder}/log;\nevents {{}}\n"
        f"http {{\n{places}include {folder}/site.conf;\naccess_log {access_log};\n}}\n"
    )
    command = [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "log")]
    return [*command, "-g", "daemon off; master_process off;"]


@contextmanager
def caddy(folder: Path, host: str, upstream_port: int) -> Iterator[Proxy]:
    """Its own authority stands for the one on the internet. Those before 2.6.4 call one line otherwise, as it says."""
    proxy = Proxy(host, free_port(), free_port(), folder / "state/pki/authorities/local/root.crt")
    site = (ROOT / "deploy/Caddyfile").read_text()
    path = program("caddy")
    version = re.search(r"(\d+)\.(\d+)\.(\d+)", subprocess.check_output([path, "version"], text=True))
    if tuple(map(int, version.groups())) < (2, 6, 4):
        site, changes = re.subn(r"\brequest_buffers (\w+)\n", r"buffer_requests\nmax_buffer_size \1\n", site)
        assert changes == 1
    (folder / "site").write_text(site)
    (folder / "Caddyfile").write_text(
        "{\nadmin off\nskip_install_trust\nlocal_certs\ndefault_bind 127.0.0.1\n"
        f"http_port {proxy.http_port}\nhttps_port {proxy.https_port}\nstorage file_system {folder}/state\n}}\n"
        f"import {folder}/site\n"
    )
    variables = {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "PUBLIC_URL": f"https://{host}",
        "FRONTDESK": f"127.0.0.1:{upstream_port}",
    }
    with _running([path, "run", "--config", str(folder / "Caddyfile")], folder, proxy, variables):
        yield proxy


@contextmanager
def _running(command: list[str], folder: Path, proxy: Proxy, variables: dict[str, str] | None = None) -> Iterator[None]:
    with (folder / "output").open("ab") as output:
        process = start_child(command, cwd=folder, env=variables or {}, stdout=output, stderr=output)
    try:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(OSError):  # nobody listens yet, or its certificate is not there
                proxy.connect().close()
                break
            log = "".join(path.read_text() for path in (folder / "output", folder / "log") if path.exists())
            assert process.poll() is None, log
            assert time.monotonic() < give_up_at, log
            time.sleep(0.05)
        yield
    finally:
        stop_child(process, patience_seconds=10)
        shutil.rmtree(folder / "state", ignore_errors=True)
