"""A new installation as its owner meets it: `manage.py setup` and the settings that come from outside."""

import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.live import ROOT, LiveServer, manage, new_environment, running_server

pytestmark = pytest.mark.serial

PUBLIC_HOST = "frontdesk.example.com"
# What Caddy, Traefik or a well set up nginx sends; and nginx as it comes, which names its upstream as the Host.
PROXIES = {
    "passes the Host on": {"Host": PUBLIC_HOST},
    "names its upstream as Host": {"Host": "127.0.0.1:8000", "X-Forwarded-Host": PUBLIC_HOST},
}
FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Port": "443"}


def fail(env: dict[str, str], *arguments: str) -> str:
    """Run a command that has to fail; what it says."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout
    return done.stderr


def request(server: LiveServer, method: str, path: str, headers: dict[str, str], body: str | None = None):
    connection = HTTPConnection("127.0.0.1", int(server.env["PORT"]), timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def cookies(headers) -> SimpleCookie:
    found = SimpleCookie()
    for header in headers.get_all("Set-Cookie") or []:
        found.load(header.strip())
    return found


@pytest.fixture(scope="module")
def behind_a_proxy(database_name):
    with running_server(database_name, PUBLIC_URL=f"https://{PUBLIC_HOST}", WEB_PROCESSES="1") as server:
        yield server


def test_the_first_set_up_prints_what_to_paste_and_later_ones_no_secret(database_name):
    with new_environment(database_name) as env:
        first = manage(env, "setup")
        assert f"http://127.0.0.1:{env['PORT']}/admin/" in first
        assert re.search(r"^  password   \S{16}$", first, re.MULTILINE)
        assert f"Begin Session URL  http://127.0.0.1:{env['PORT']}/webhooks/livetok/begin\n" in first
        assert f"End Session URL    http://127.0.0.1:{env['PORT']}/webhooks/livetok/end\n" in first
        key = re.search(r"X-API-Key: (fd_\S+)", first)[1]

        assert manage(env, "setup") == ""
        assert len(manage(env, "create_api_key", "--name", "b", "--scope", "read").strip()) == len(key)


def test_the_printed_addresses_follow_the_public_url(database_name):
    with new_environment(database_name, is_migrated=True, PUBLIC_URL=f"https://{PUBLIC_HOST}") as env:
        printed = manage(env, "setup")
    assert f"https://{PUBLIC_HOST}/admin/" in printed
    assert f"https://{PUBLIC_HOST}/webhooks/livetok/begin" in printed
    assert "127.0.0.1" not in printed


def test_secrets_from_outside_are_used_and_not_printed(database_name, tmp_path):
    outside = {"WEBHOOK_SECRET": "webhook-secret-from-outside", "ADMIN_PASSWORD": "password-from-outside"}
    with new_environment(database_name, is_migrated=True, SECRET_KEY="key-from-outside" * 4, **outside) as env:
        if database_name == "sqlite":
            shutil.move(f"{env['DATA_DIR']}/frontdesk.sqlite3", tmp_path)
            env["DATABASE_URL"] = f"sqlite:///{tmp_path}/frontdesk.sqlite3"
        shutil.rmtree(env["DATA_DIR"])
        printed = manage(env, "setup")
        assert "as in ADMIN_PASSWORD" in printed
        assert "from-outside" not in printed
        assert "X-API-Key" not in printed
        assert stat.S_IMODE(Path(env["DATA_DIR"]).stat().st_mode) == 0o700
        assert not (Path(env["DATA_DIR"]) / "secret_key").exists()


@pytest.mark.only("sqlite")
def test_the_sqlite_file_is_copied_before_its_migrations(database_name):
    with new_environment(database_name, is_migrated=True) as env:
        folder = Path(env["DATA_DIR"])
        assert "copied" not in manage(env, "setup")
        # Only the last ones: to undo all of them and to do them again takes six times as long.
        manage(env, "migrate", "sessions_app", "0015")
        printed = manage(env, "setup")
        [copy] = folder.glob("frontdesk-before-*.sqlite3")
        assert str(copy) in printed
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        with closing(sqlite3.connect(copy)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert database.execute("SELECT slug FROM customers_tier").fetchall() == [("standard",)]
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        assert "sessions_app_session" in tables
        assert "sessions_app_lease" not in tables
        manage(env, "setup")
        assert len(list(folder.glob("frontdesk-before-*"))) == 1


@pytest.mark.only("sqlite")
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"TIME_ZONE": "Mars/Olympus"}, "TIME_ZONE is 'Mars/Olympus'"),
        ({"PORT": "http"}, "PORT is 'http'; give a whole number"),
        ({"PUBLIC_URL": "https://frontdesk.example.com/"}, "PUBLIC_URL is 'https://frontdesk.example.com/'"),
        ({"TRUSTED_PROXIES": "proxy"}, "TRUSTED_PROXIES: 'proxy'"),
        ({"PHONE_REGION": "UK"}, "PHONE_REGION is 'UK'"),
        ({"DATABASE_URL": "sqlite:////nowhere/at/all"}, "DATABASE_URL: the database does not answer"),
        ({"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}, "DATABASE_URL: the database does not answer"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named_without_a_traceback(database_name, variables, words):
    with new_environment(database_name) as env:
        said = fail(env | variables, "setup")
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize("proxy", PROXIES)
def test_staff_sign_in_over_https_behind_a_proxy(behind_a_proxy, proxy):
    headers = PROXIES[proxy] | FORWARDED
    status, answer, _ = request(behind_a_proxy, "GET", "/accounts/login/", headers)
    assert status == 200
    assert answer["Strict-Transport-Security"] == "max-age=31536000"
    token = cookies(answer)["csrftoken"]
    assert token["secure"]
    assert token["httponly"]

    form = {
        "login": "admin",
        "password": behind_a_proxy.password,
        "csrfmiddlewaretoken": token.value,
        "next": "/admin/",
    }
    browser = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": f"https://{PUBLIC_HOST}",
        "Referer": f"https://{PUBLIC_HOST}/accounts/login/",
        "Cookie": f"csrftoken={token.value}",
    }
    status, answer, _ = request(behind_a_proxy, "POST", "/accounts/login/", headers | browser, urlencode(form))
    assert status == 302
    assert answer["Location"] == "/admin/"
    session = cookies(answer)["sessionid"]
    assert session["secure"]
    assert session["httponly"]
    status, _, page = request(behind_a_proxy, "GET", "/admin/", headers | {"Cookie": f"sessionid={session.value}"})
    assert status == 200
    assert b"admin" in page

    elsewhere = browser | {"Origin": "https://evil.example", "Referer": "https://evil.example/"}
    assert request(behind_a_proxy, "POST", "/accounts/login/", headers | elsewhere, urlencode(form))[0] == 403


def test_people_who_come_over_http_are_sent_to_https(behind_a_proxy):
    headers = {"Host": PUBLIC_HOST, "X-Forwarded-Proto": "http"}
    status, answer, _ = request(behind_a_proxy, "GET", "/admin/", headers)
    assert status == 301
    assert answer["Location"] == f"https://{PUBLIC_HOST}/admin/"


def test_people_who_come_by_another_name_are_refused(behind_a_proxy):
    assert request(behind_a_proxy, "GET", "/admin/", {"Host": "other.example"} | FORWARDED)[0] == 400


@pytest.mark.parametrize("host", [PUBLIC_HOST, "127.0.0.1", "a1b2.tunnel.example", "x_y", ""])
@pytest.mark.parametrize("forwarded", [{}, FORWARDED, {"X-Forwarded-Proto": "http"}], ids=["direct", "https", "http"])
def test_machines_get_through_by_any_name_and_are_never_sent_elsewhere(behind_a_proxy, host, forwarded):
    headers = {"Host": host, **forwarded, "X-API-Key": behind_a_proxy.webhook_key}
    for path in ("/webhooks/livetok", "/webhooks/livetok/", "/webhooks/livetok/end"):
        assert request(behind_a_proxy, "GET", path, headers)[0] == 200
        status, _, answer = request(behind_a_proxy, "POST", path, headers, '{"event": "something_new"}')
        assert (status, answer) == (200, b"{}")
    assert request(behind_a_proxy, "GET", "/healthz", headers)[0] == 200
    assert request(behind_a_proxy, "GET", "/readyz/", headers)[0] == 200
