"""What `deploy/` ships, run: the image's steps, the unit's command lines, nginx and Caddy in front over real TLS."""

import json
import os
import re
import select
import shutil
import socket
import sqlite3
import stat
import subprocess
import tempfile
import urllib.request
from contextlib import closing, suppress
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import psutil
import pytest

from config.management.commands.serve import PATIENCE_SECONDS
from tests.builders import payload
from tests.databases import free_port
from tests.deployed import PUBLIC_HOST, built_image, deployed, give, start_deployed
from tests.image import ROOT, as_nobody, build_image, instructions
from tests.live import new_environment, run, wait_until_ready
from tests.programs import program
from tests.proxies import CLIENT, caddy, nginx

pytestmark = pytest.mark.serial

WRITABLE_BY_ALL = ("/tmp", "/var/tmp", "/dev/shm")


@pytest.fixture(scope="module")
def image():
    with built_image() as image:
        yield image


@pytest.fixture(scope="module")
def container(image, database_name):
    before = {path for folder in WRITABLE_BY_ALL for path in Path(folder).glob("*")}
    with deployed(image, database_name) as container:
        yield container
        if as_nobody():
            made = {path for folder in WRITABLE_BY_ALL for path in Path(folder).glob("*")} - before
            owner = os.stat(container.server.env["DATA_DIR"] + "/secret_key").st_uid
            assert [path for path in made if path.lstat().st_uid == owner] == []


def test_only_the_installation_of_libraries_and_packages_is_not_done_here(image):
    libraries, packages = image.skipped
    assert "--require-hashes -r requirements-runtime.txt" in libraries
    assert "postgresql-client-" in packages
    assert image.base == "python:3.11-slim-trixie"
    assert int(image.user) == 1000
    assert "manage.py" in image.entrypoint


def test_the_image_has_what_a_deployment_needs_and_no_secret(image):
    app = image.path("/app")
    assert {path.name for path in app.iterdir()} == {
        "automations", "config", "customers", "sessions_app", "static", "staticfiles", "templates",
        "manage.py", "LICENSE", "requirements-runtime.txt",
    }  # fmt: skip
    assert (app / "staticfiles/staticfiles.json").exists()
    assert list(app.rglob("secret_key")) == list(image.path("/data").glob("secret_key")) == []
    assert list(image.path("/tmp").iterdir()) == []
    assert stat.S_IMODE(image.path("/data").stat().st_mode) == 0o1777
    assert list(app.glob("config/__pycache__/settings.*.pyc"))
    # Whatever the umask of the checkout: tests/image.py copies as if it had been 077.
    closed = [path for path in [app, *app.rglob("*")] if path.stat().st_mode & 0o004 == 0]
    assert closed == []


def test_every_file_that_is_copied_is_let_through_to_the_build():
    ignored = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    copied = {
        source.removeprefix("./")
        for instruction, text in instructions(ROOT / "deploy/Dockerfile")
        if instruction == "COPY" and not text.startswith("--from=")
        for source in text.split()[:-1]
    }
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert ignored[1] == "*"


def test_set_up_and_server_run_as_anybody_and_write_to_the_data_folder_alone(container):
    assert "Begin Session URL  https://frontdesk.example.com/webhooks/livetok/begin" in container.printed
    request = urllib.request.Request(
        f"{container.server.url}/webhooks/livetok",
        payload("session_begin"),
        {"X-API-Key": container.server.webhook_key},
    )
    assert json.load(urllib.request.urlopen(request, timeout=10))["allowed"] is True
    assert (container.image.path("/data") / "secret_key").exists()
    assert "Traceback" not in container.server.log


def test_what_does_not_fit_in_memory_goes_to_the_data_folder(container):
    temporary = container.image.path("/data") / "tmp"
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o700
    processes = psutil.Process(container.server.process.pid).children(recursive=True)
    assert len(processes) >= 3
    granian_and_its_own = [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert {one.environ()["TMPDIR"] for one in granian_and_its_own} == {str(temporary)}


def test_a_second_set_up_finds_everything_done_and_minds_no_file_that_is_not_frontdesks(container):
    (container.image.path("/data") / "lost+found").mkdir(mode=0)  # as each volume has one, of root's
    assert run([*container.image.entrypoint, "setup"], **options_of(container)) == ""


def test_the_health_check_passes_while_the_web_server_answers_and_fails_otherwise(container):
    command = container.image.health_check
    options = options_of(container)
    assert run(command, **options) == ""
    options["env"] = {**options["env"], "PORT": str(free_port())}
    assert subprocess.run(command, capture_output=True, check=False, **options).returncode == 1


def options_of(container):
    return container.image.popen_options(
        **{
            name: container.server.env[name]
            for name in ("PUBLIC_URL", "HOST", "PORT", "DATABASE_URL")
            if name in container.server.env
        }
    )


@pytest.mark.only("sqlite")
def test_static_files_that_are_old_in_a_tree_that_cannot_be_written_are_named(image):
    stamp = image.path("/app/staticfiles/.sources")
    good = stamp.read_text()
    stamp.chmod(0o644)
    try:
        stamp.write_text("old")
        command = [*image.entrypoint, "setup", "--only-static-files"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **image.popen_options())
    finally:
        stamp.write_text(good)
    assert done.returncode == 1
    assert f"The static files cannot be collected: [Errno 13] Permission denied: '{stamp}'" in done.stderr
    assert f"Run `make build` as the owner of {image.path('/app')}." in done.stderr


SPOILT = {
    "the folder is another's": (lambda data: data.chmod(0o555), "", "sudo chown -R {uid} {data}`; for a container"),
    "it is in one": (lambda data: data.chmod(0o555), "/within", "sudo install -d -m 700 -o {uid} {data}`"),
    "the key is another's": (lambda data: closed(data / "secret_key"), "", "{data}/secret_key cannot be used by this"),
    "the database is": (
        lambda data: closed(data / "frontdesk.sqlite3"),
        "",
        "{data}/frontdesk.sqlite3 cannot be used by",
    ),
    "the spool is": (lambda data: closed(data / "spool/", is_folder=True), "", "{data}/spool cannot be used by this"),
    "it is no folder": (lambda data: (data / "file").touch(), "/file", "{data} is no folder"),
}


def closed(path, is_folder=False):
    """Something that only root can use, or nobody where we are not root."""
    if is_folder:
        path.mkdir()
    else:
        path.write_text("x")
    path.chmod(0o000)


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("case", SPOILT)
def test_a_data_folder_that_cannot_be_used_is_named_with_what_mends_it(image, case):
    spoil, below, words = SPOILT[case]
    with tempfile.TemporaryDirectory(prefix="frontdesk-spoilt-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        data = Path(folder, "data")
        data.mkdir()
        if "folder" not in case and "in one" not in case:
            give(data)
        spoil(data)
        uid = as_nobody().get("user", os.geteuid())
        for command in ("setup", "serve") if "database" in case else ("setup",):
            options = image.popen_options(DATA_DIR=f"{data}{below}", SECRET_KEY="" if "key" in case else "x1y2z3" * 12)
            done = subprocess.run([*image.entrypoint, command], capture_output=True, text=True, check=False, **options)
            assert done.returncode == 1
            assert words.format(uid=uid, data=f"{data}{below}") in done.stderr, done.stderr
            assert "DATA_DIR: " in done.stderr
            assert "Traceback" not in done.stderr


def test_a_step_that_fails_fails_the_build(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python:3-slim\nRUN false\n")
    with pytest.raises(AssertionError, match="false"):
        build_image(tmp_path / "image", tmp_path / "Dockerfile")


@pytest.fixture
def server(container):
    return container.server


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "Caddy"])
def proxy(request, container, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("proxy"), PUBLIC_HOST, int(container.server.env["PORT"])) as proxy:
        yield proxy


def last_address(server) -> str:
    """Where LiveTok's last request came from."""
    with closing(sqlite3.connect(f"{server.env['DATA_DIR']}/frontdesk.sqlite3")) as database:
        [address] = database.execute("SELECT address FROM sessions_app_webhookevent ORDER BY id DESC").fetchone()
    return address


@pytest.mark.only("sqlite")
def test_livetoks_sample_gets_its_answer_and_the_address_is_livetoks(proxy, server):
    made_up = {"X_Forwarded_For": "203.0.113.9", "X-Forwarded-For": "203.0.113.8"}
    connection = proxy.connect()
    headers = {"X-API-Key": server.webhook_key, "Content-Type": "application/json", **made_up}
    connection.request("POST", "/webhooks/livetok/begin", payload("session_begin"), headers)
    response = connection.getresponse()

    assert response.status == 200
    assert json.loads(response.read())["allowed"] is True
    assert last_address(server) == CLIENT
    assert proxy.ask("POST", "/webhooks/livetok/end", payload("session_end"), x_api_key="wrong").status == 401


@pytest.mark.only("sqlite")
def test_staff_sign_in_over_https(proxy, server):
    page = proxy.ask("GET", "/accounts/login/")
    cookie = SimpleCookie(page.headers["Set-Cookie"])["csrftoken"]
    assert (page.status, bool(cookie["secure"])) == (200, True)
    form = {"login": "admin", "password": server.password, "csrfmiddlewaretoken": cookie.value, "next": "/admin/"}
    sent = {
        "Content_Type": "application/x-www-form-urlencoded",
        "Origin": f"https://{PUBLIC_HOST}",
        "Cookie": f"csrftoken={cookie.value}",
    }

    entered = proxy.ask("POST", "/accounts/login/", urlencode(form), **sent)

    assert (entered.status, entered.headers["Location"]) == (302, "/admin/")
    session = SimpleCookie("; ".join(entered.headers.get_all("Set-Cookie")))["sessionid"]
    assert session["secure"]
    assert session["httponly"]
    assert proxy.ask("GET", "/admin/", Cookie=f"sessionid={session.value}").status == 200
    assert f'"message": "signed in", "username": "admin", "address": "{CLIENT}"' in server.log
    refused = proxy.ask("POST", "/accounts/login/", urlencode(form), **{**sent, "Origin": "https://evil.example"})
    assert refused.status == 403
    assert b"127.0.0.1, trusted" in refused.content


@pytest.mark.only("sqlite")
def test_browsers_are_kept_to_https(proxy):
    page = proxy.ask("GET", "/accounts/login/")
    style = re.search(r'href="(/static/[^"]+\.css)"', page.content.decode())[1]
    for path, status in ((style, 200), ("/accounts/login/", 200), ("/nowhere", 404), ("/reports/", 302)):
        answer = proxy.ask("GET", path)
        assert (answer.status, answer.headers["Strict-Transport-Security"]) == (status, "max-age=31536000")

    plain = HTTPConnection("127.0.0.1", proxy.http_port, timeout=10)
    with closing(plain):
        plain.request("GET", "/admin/", headers={"Host": PUBLIC_HOST})
        answer = plain.getresponse()
        assert answer.status in (301, 308)
        assert answer.headers["Location"].startswith(f"https://{PUBLIC_HOST}")


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("start", [nginx, caddy], ids=["nginx", "Caddy"])
def test_a_proxy_takes_in_the_whole_body_before_it_passes_the_request_on_and_says_who_calls(start, tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as frontdesk,
        start(tmp_path, PUBLIC_HOST, frontdesk.getsockname()[1]) as proxy,
        closing(proxy.connect()) as connection,
    ):
        connection.putrequest("POST", "/webhooks/livetok")
        connection.putheader("Content-Length", "20")
        connection.putheader("X_Forwarded_For", "203.0.113.9")
        connection.putheader("X_Forwarded_Proto", "http")
        connection.endheaders(b"0123456789")
        assert select.select([frontdesk], [], [], 0.5)[0] == []
        connection.send(b"0123456789")
        assert select.select([frontdesk], [], [], 10)[0] == [frontdesk]
        with frontdesk.accept()[0] as passed_on:
            passed_on.settimeout(10)
            received = b""
            while not received.endswith(b"01234567890123456789"):
                piece = passed_on.recv(65536)
                assert piece
                received += piece
        head = received.decode().lower()
        assert f"\r\nx-forwarded-for: {CLIENT}\r\n" in head
        assert "\r\nx-forwarded-proto: https\r\n" in head
        assert "x_forwarded" not in head


@pytest.mark.only("sqlite")
def test_a_body_that_is_too_large_is_refused(proxy, server):
    with closing(proxy.connect()) as connection:
        connection.putrequest("POST", "/webhooks/livetok")
        connection.putheader("X-API-Key", server.webhook_key)
        connection.putheader("Content-Length", str(16 * 1024 * 1024 + 1))
        connection.endheaders()
        with suppress(OSError):  # nginx needs no body to say so
            connection.send(bytes(16 * 1024 * 1024 + 1))
        # Caddy may still be sending when Frontdesk refuses.
        assert connection.getresponse().status in (413, 502)


def settings_of(text: str) -> dict[str, list[str]]:
    """A systemd unit's settings, each with all its values."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def unit(image, tmp_path):
    """The unit with its commented credentials put in, and its paths those of the image's tree."""
    text = re.sub(r"^#(\w+=)", r"\1", (ROOT / "deploy/frontdesk.service").read_text(), flags=re.MULTILINE)
    for path, instead in (
        ("/opt/frontdesk/.venv", image.path("/venv")),
        ("/opt/frontdesk", image.path("/app")),
        ("/var/lib/frontdesk", f"{image.root.parent}/state"),
        ("/run/credentials/frontdesk.service", f"{image.root.parent}/credentials"),
    ):
        assert path in text
        text = text.replace(path, str(instead))
    (tmp_path / "frontdesk.service").write_text(text)
    return settings_of(text)


@pytest.mark.only("sqlite")
def test_systemd_takes_the_unit_and_finds_it_closed(unit, tmp_path):
    analyze = program("systemd-analyze")
    verified = subprocess.run([analyze, "verify", tmp_path / "frontdesk.service"], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    exposure = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", tmp_path / "frontdesk.service"]
    assert subprocess.run(exposure, capture_output=True, check=False).returncode == 0
    assert unit["ProtectSystem"] == ["strict"]
    # No stop by systemd comes before `serve` has let requests finish, and no start is cut short by a migration.
    assert int(unit["TimeoutStopSec"][0]) > 2 * PATIENCE_SECONDS
    assert unit["TimeoutStartSec"] == ["infinity"]


@pytest.mark.only("sqlite")
def test_the_units_command_lines_run_with_its_environment_and_credentials(unit, image):
    state, credentials = image.root.parent / "state", image.root.parent / "credentials"
    for folder in (state, credentials):
        folder.mkdir(mode=0o700)
        give(folder)
    [credential] = unit["LoadCredential"]
    (credentials / credential.partition(":")[0]).write_text(f"sqlite:///{state}/by-credential.sqlite3\n")
    give(credentials / credential.partition(":")[0])
    with new_environment("sqlite", is_migrated=True) as made:
        give(shutil.copy(f"{made['DATA_DIR']}/frontdesk.sqlite3", state / "by-credential.sqlite3"))
    variables = dict(pair.split("=", 1) for line in unit["Environment"] for pair in line.split())
    options = {"cwd": unit["WorkingDirectory"][0], "umask": int(unit["UMask"][0], 8), **as_nobody()}
    loader = {name: value for name, value in image.env.items() if name == "LD_LIBRARY_PATH"}
    options["env"] = {"PATH": os.defpath, "PORT": str(free_port()), **loader, **variables}
    [before], [start] = unit["ExecStartPre"], unit["ExecStart"]

    assert "Webhook" in run(before.removeprefix("-").split(), **options)
    server = start_deployed(image, start.split(), state, options)
    try:
        wait_until_ready(server)
        server.process.terminate()
        assert server.process.wait(int(unit["TimeoutStopSec"][0])) == 0
    finally:
        server.stop()
    assert not (state / "frontdesk.sqlite3").exists()
    assert "error" not in server.log
