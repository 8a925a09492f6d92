"""A real server whose source hangs, drips, or has a name that is looked up slowly: no begin takes over a second."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.builders import begin_body
from tests.live import LiveServer, running_server
from tests.standins import Reply, http_standin
from tests.test_outage_live import Frontdesk

pytestmark = pytest.mark.serial

# What is promised is a second; a busy machine may take longer to get round to us.
PROMISED_SECONDS, SLACK_SECONDS = 1.0, 0.5
AT_ONCE = 8
SLOW_NAME = "slow.example.com"
# Python runs it in every process that has its folder in PYTHONPATH: the machine's own name server is not ours to slow.
SLOW_NAMES = f"""
import socket, time
_real = socket.getaddrinfo
def getaddrinfo(host, *arguments, **named):
    if host == "{SLOW_NAME}":
        time.sleep(20)
    return _real(host, *arguments, **named)
socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture(scope="module")
def server(database_name: str, tmp_path_factory) -> Iterator[LiveServer]:
    folder: Path = tmp_path_factory.mktemp("slow-names")
    (folder / "sitecustomize.py").write_text(SLOW_NAMES)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    variables = {"OUTGOING_ALLOWED_HOSTS": "127.0.0.0/8", "OUTGOING_ALLOW_HTTP": "yes", "PYTHONPATH": path}
    with running_server(database_name, **variables) as running:
        yield running


def hang(over: threading.Event) -> Reply:
    over.wait(30)
    return Reply()


def drip(over: threading.Event) -> Reply:
    def pieces() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        while not over.wait(0.05):
            yield b" "

    return Reply(raw=pieces())


@pytest.mark.parametrize("how", ["hangs", "drips", "resolves"])
def test_no_begin_waits_over_a_second_for_a_source(server: LiveServer, how: str):
    """Eight begins at once, again and again: while threads are taken, while they are free, and once it is off."""
    over = threading.Event()
    answer: Callable[[threading.Event], Reply] = drip if how == "drips" else hang
    with http_standin(lambda received: answer(over)) as slow:
        address = f"http://{SLOW_NAME}:1" if how == "resolves" else slow.url
        make_only_source(server, how, f"{address}/{{{{ session.number }}}}")
        frontdesk = Frontdesk(server, None)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            warm = [begin_body(sessionId=f"{how}-warm-{number}", phoneNumber="") for number in range(AT_ONCE * 2)]
            list(pool.map(frontdesk.send, warm))
            time.sleep(5.5)  # until every process knows of the source
            replies = []
            for turn in range(6):
                names = [f"{how}-{turn}-{number}" for number in range(AT_ONCE)]
                bodies = [
                    begin_body(sessionId=name, phoneNumber=f"+1555{turn}0{number}00")
                    for number, name in enumerate(names)
                ]
                replies += list(pool.map(frontdesk.send, bodies))
        over.set()

    times = sorted(seconds for _, _, seconds in replies)
    print(f"{how}: median {times[len(times) // 2]:.3f} s, longest {times[-1]:.3f} s")
    assert {status for status, _, _ in replies} == {200}
    assert all(json.loads(content)["context"]["customer_tier"] == "standard" for _, content, _ in replies)
    assert times[-1] < PROMISED_SECONDS + SLACK_SECONDS
    assert spooled(server, how) == 0, "the database was not to blame"
    why = missing(server, how)
    assert "no answer within 600 ms" in why, why
    assert len(why) == len(replies)


def make_only_source(server: LiveServer, name: str, address: str) -> None:
    code = (
        "from automations.models import Source; Source.objects.update(is_active=False); "
        f"Source.objects.create(name={name!r}, address={address!r}, pointers='a = /a', limit_ms=600, is_active=True)"
    )
    server.manage("shell", "-c", code)


def spooled(server: LiveServer, name: str) -> int:
    """How many sessions of the test were answered before they could be stored."""
    code = (
        "from sessions_app.models import Session; "
        f"print(Session.objects.filter(session_id__startswith='{name}-', flags__contains='stored_later').count())"
    )
    return int(server.manage("shell", "-c", code).strip().splitlines()[-1])


def missing(server: LiveServer, name: str) -> list[str]:
    """Why there is no context, of each session of the test."""
    code = (
        "import json; from sessions_app.models import Session; "
        f"found = Session.objects.filter(session_id__regex=r'^{name}-[0-9]').values_list('facts', flat=True); "
        "print(json.dumps([one['why'] for facts in found for one in facts.get('context_missing', [])]))"
    )
    printed = server.manage("shell", "-c", code)
    found: list[str] = json.loads(printed.strip().splitlines()[-1])
    return found
