"""`manage.py serve`: web server and worker, together or not at all."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from tests.databases import free_port
from tests.live import ROOT, new_environment, running_server, start_server, wait_until_ready
from tests.test_installation import fail

pytestmark = pytest.mark.serial

PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def installation(database_name):
    """The environment of an installation that is set up; each test starts its own server in it."""
    with new_environment(database_name, is_set_up=True) as env:
        env.pop("MALLOC_ARENA_MAX", None)  # who runs the tests may have set it, and that would hold
        yield env


@pytest.fixture
def web_processes():
    """Where nothing hangs on there being several: a second one takes as long to start as the first."""
    return 1


@pytest.fixture
def server(installation, web_processes):
    server = start_server(installation | {"WEB_PROCESSES": str(web_processes)})
    try:
        wait_until_ready(server)
        yield server
    finally:
        server.stop()


def descendants(server) -> list[psutil.Process]:
    """`serve`'s processes: granian, its own processes, and the worker."""
    return psutil.Process(server.process.pid).children(recursive=True)


def child(server, words: str) -> psutil.Process:
    [found] = [one for one in psutil.Process(server.process.pid).children() if words in " ".join(one.cmdline())]
    return found


def wait_until_gone(processes) -> None:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
    assert alive == []


def wait_until_free(port: int) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.05)
    raise AssertionError(f"something still listens on {port}")


@pytest.mark.parametrize("number, web_processes", [(signal.SIGINT, 1), (signal.SIGTERM, 2), (signal.SIGHUP, 1)])
def test_a_signal_stops_every_process_without_an_error(server, number, web_processes):
    processes = descendants(server)
    assert len(processes) >= 2 + web_processes
    os.kill(server.process.pid, number)
    assert server.process.wait(PATIENCE_SECONDS) == 0
    wait_until_gone(processes)
    assert "Traceback" not in server.log
    assert '"error"' not in server.log


def test_a_signal_during_the_start_stops_every_process_too(installation):
    server = start_server(installation)
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while len(processes := descendants(server)) < 3 and time.monotonic() < give_up_at:
        time.sleep(0.01)
    os.kill(server.process.pid, signal.SIGINT)
    assert server.process.wait(PATIENCE_SECONDS) == 0
    wait_until_gone(processes)


@pytest.mark.parametrize(("words", "name"), [("granian", "web server"), ("manage.py worker", "worker")])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_serve_ends_with_an_error_when_either_process_ends(server, words, name, number):
    processes = descendants(server)
    child(server, words).send_signal(number)
    assert server.process.wait(PATIENCE_SECONDS) == 1
    wait_until_gone(processes)
    assert f"The {name} ended by itself" in server.log
    assert "Traceback" not in server.log


@pytest.mark.parametrize("web_processes", [2])
def test_killing_serve_leaves_no_orphan(server):
    processes = descendants(server)
    server.process.kill()
    wait_until_gone(processes)
    wait_until_free(int(server.env["PORT"]))


@pytest.mark.parametrize("web_processes", [2])
def test_a_web_process_that_dies_is_replaced_by_one_that_runs_alike(server):
    [web, *_] = child(server, "granian").children()
    assert web.environ()["MALLOC_ARENA_MAX"] == "2"
    web.kill()
    wait_until_gone([web])
    time.sleep(0.5)
    wait_until_ready(server)
    assert server.process.poll() is None
    assert {web.environ()["MALLOC_ARENA_MAX"] for web in child(server, "granian").children()} == {"2"}


def test_a_port_in_use_is_named_and_so_is_a_data_folder_in_use(server):
    quickly = "import django; django.setup(); from config.management.commands import serve; "
    quickly += "serve.PREDECESSOR_SECONDS = 1; "
    code = f"{quickly}from django.core.management import execute_from_command_line as run; run(['', 'serve'])"
    env = {**server.env, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert f"Cannot listen on http://127.0.0.1:{server.env['PORT']}" in said
    assert re.search(r"Process \d+ \(\S+\) holds it\. Stop what listens there, or set PORT or HOST\.", said)
    holders = {one.pid for one in child(server, "granian").children()} | {child(server, "granian").pid}
    assert int(re.search(r"Process (\d+)", said)[1]) in holders
    assert "Traceback" not in said

    env["PORT"] = str(free_port())
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert f"Another `serve` runs on the data folder {env['DATA_DIR']}. Stop it" in done.stderr
    assert urllib.request.urlopen(f"{server.url}/readyz", timeout=5).status == 200


def test_a_start_waits_for_a_predecessor_that_still_holds_the_port(installation):
    """As web processes do that finish their requests after `serve` was killed."""
    with socket.create_server(("127.0.0.1", int(installation["PORT"]))):
        server = start_server(installation | {"WEB_PROCESSES": "1"})
        wait_until_said(server, "waiting for it, 20 seconds at most")
        assert server.process.poll() is None
    try:
        wait_until_ready(server)
    finally:
        server.stop()


def wait_until_said(server, words: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while words not in server.log:
        assert time.monotonic() < give_up_at, server.log
        time.sleep(0.05)


def test_serve_without_set_up_says_what_to_run(database_name):
    with new_environment(database_name) as env:
        said = fail(env, "serve")
    assert "Run `manage.py setup` first" in said
    assert "Traceback" not in said


def test_logs_are_json_lines_without_the_key(database_name):
    with running_server(database_name, WEB_PROCESSES="1") as server:
        body = b'{"event": "session_begin", "sessionId": "1", "kind": "whatsapp", "phoneNumber": "+1234567890"}'
        request = urllib.request.Request(f"{server.url}/webhooks/livetok", body, {"X-API-Key": server.webhook_key})
        assert urllib.request.urlopen(request, timeout=10).status == 200
        server.stop()
        lines = server.log.splitlines()
    assert lines[0] == f"Frontdesk is starting on {server.url} (Ctrl-C stops it)."
    assert all(line.startswith("{") for line in lines[1:])
    assert any('"session_begin"' in line for line in lines)
    assert not any(server.webhook_key in line or "1234567890" in line for line in lines)
