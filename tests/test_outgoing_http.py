"""Sending one request: to checked addresses alone, within its time, and with no more read than is kept."""

import gzip
import itertools
import logging
import os
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from automations.outgoing import http, names
from automations.outgoing.addresses import AllowedHosts, parse_allowed_hosts
from automations.outgoing.http import MOST_BYTES, MaybeSentError, NotSentError, Request, send
from tests.authorities import make_authority
from tests.databases import free_port
from tests.standins import Reply, http_standin, name_standin

pytestmark = pytest.mark.pure

LOOPBACK = parse_allowed_hosts(["127.0.0.0/8"])
ANSWERED = b"HTTP/1.1 200 OK\r\n"
BLANK = bytes(10_000_000)


def sent(url, *, method="POST", headers=None, body=b"{}", seconds=5.0, allowed=LOOPBACK, allows_http=True):
    return send(Request(method, url, headers or {}, body), seconds=seconds, allowed=allowed, allows_http=allows_http)


@contextmanager
def not_longer_than(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def dripping(piece: bytes, first: bytes = b"") -> Iterator[bytes]:
    """More for ever, so often that a limit for each read is never met."""
    yield first
    while True:
        time.sleep(0.05)
        yield piece


def test_a_request_arrives_as_it_was_given_and_its_answer_comes_back():
    with http_standin(Reply(201, {"X-Ticket": "17"}, b"made")) as server:
        headers = {"Content-Type": "application/json", "Authorization": "Bearer secret", "X-Empty": ""}
        answer = sent(f"{server.url}/hook?token=a%20b", headers=headers, body=b'{"a": "\xc3\xa9"}')

        [request] = server.requests
    assert (answer.status, answer.body) == (201, b"made")
    assert answer.headers["x-ticket"] == "17"
    assert 0 < answer.seconds < 5
    assert (request.method, request.path, request.body) == ("POST", "/hook?token=a%20b", b'{"a": "\xc3\xa9"}')
    assert dict(request.headers) == headers | {
        "Host": f"127.0.0.1:{server.port}",
        "Content-Length": "11",
        "User-Agent": "Frontdesk",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH"])
def test_a_request_without_a_body_has_none(method):
    with http_standin() as server:
        sent(server.url, method=method, body=b"")

        [request] = server.requests
    assert request.body == b""
    assert request.headers["Content-Length"] == (None if method in ("GET", "DELETE") else "0")


def test_headers_of_one_name_come_back_in_one_line():
    lines = b"Link: <a>\r\nlink: <b>\r\nContent-Length: 0\r\n\r\n"
    with http_standin(Reply(raw=[ANSWERED, lines])) as server:
        assert sent(server.url).headers["link"] == "<a>, <b>"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status):
    with http_standin() as other, http_standin(Reply(status, {"Location": f"{other.url}/there"})) as server:
        answer = sent(server.url)

        assert (answer.status, answer.headers["location"]) == (status, f"{other.url}/there")
        assert len(server.requests) == 1
        assert other.connections == 0


def test_no_proxy_of_the_environment_is_used(monkeypatch):
    with http_standin() as proxy, http_standin() as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        monkeypatch.setenv("no_proxy", "")

        assert sent(server.url).status == 200
        assert (len(server.requests), proxy.connections) == (1, 0)


def test_a_cookie_is_not_brought_back():
    with http_standin(Reply(200, {"Set-Cookie": "a=b"})) as server:
        sent(server.url)
        sent(server.url)

        assert [request.headers["Cookie"] for request in server.requests] == [None, None]


SLOW = {
    "nothing": (b"", b"", None),
    "a status": (b"HTTP/1.1 2", b"0", None),
    "headers": (ANSWERED, b"X-A: b\r\n", 200),
    "one header": (ANSWERED + b"X-A: ", b"a", 200),
    "go on": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", None),
}


@pytest.mark.parametrize("what", SLOW)
def test_whoever_drips_headers_is_cut_off_at_the_deadline(what):
    first, piece, status = SLOW[what]
    with http_standin(lambda _: Reply(raw=dripping(piece, first))) as server, not_longer_than(0.9):
        with pytest.raises(MaybeSentError, match="no whole answer came in time") as error:
            sent(server.url, seconds=0.4)

        assert len(server.requests) == 1
    assert error.value.status == status


BODIES = {
    "with its length": b"Content-Length: 1000\r\n\r\n",
    "until the end": b"\r\n",
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("what", BODIES)
def test_whoever_drips_a_body_is_cut_off_at_the_deadline(what):
    piece = b"1\r\na\r\n" if what == "in chunks" else b"a"
    with (
        http_standin(lambda _: Reply(raw=dripping(piece, ANSWERED + BODIES[what]))) as server,
        not_longer_than(0.9),
        pytest.raises(MaybeSentError, match="no whole answer came in time") as error,
    ):
        sent(server.url, seconds=0.4)

    assert error.value.status == 200


def test_whoever_takes_no_body_is_cut_off_at_the_deadline():
    with (
        socket.create_server(("127.0.0.1", 0), backlog=5) as deaf,
        not_longer_than(0.9),
        pytest.raises(MaybeSentError, match="in time"),
    ):
        sent(f"http://127.0.0.1:{deaf.getsockname()[1]}", body=BLANK, seconds=0.4)


def test_whoever_answers_no_greeting_of_tls_is_cut_off_at_the_deadline():
    with (
        socket.create_server(("127.0.0.1", 0), backlog=5) as deaf,
        not_longer_than(0.9),
        pytest.raises(NotSentError, match="too long"),
    ):
        sent(f"https://127.0.0.1:{deaf.getsockname()[1]}", seconds=0.4)


def test_cutting_off_leaves_no_thread_and_no_descriptor_behind():
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    with http_standin() as server:
        sent(server.url)
        before, threads = descriptors(), threading.active_count()
        for _ in range(20):
            sent(server.url)
        time.sleep(0.2)  # the stand-in's own threads and connections

        assert threading.active_count() <= threads
        assert descriptors() <= before


@pytest.mark.parametrize("interim", [b"103 Early Hints\r\nLink: </a>", b"102 Processing", b"100 Continue"])
def test_interim_answers_are_passed_over(interim):
    first = b"HTTP/1.1 " + interim + b"\r\n\r\n"
    with http_standin(Reply(raw=[first * 3 + ANSWERED + b"Content-Length: 4\r\n\r\nmade"])) as server:
        answer = sent(server.url)

    assert (answer.status, answer.body) == (200, b"made")


def test_another_protocol_is_no_answer():
    switching = Reply(raw=[b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])
    with http_standin(switching) as server, pytest.raises(MaybeSentError, match="no final answer") as error:
        sent(server.url)

    assert error.value.status == 101


def test_interim_answers_without_end_are_no_answer():
    with (
        http_standin(Reply(raw=itertools.repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100))) as server,
        not_longer_than(2),
        pytest.raises(MaybeSentError, match="no HTTP answer"),
    ):
        sent(server.url)


BROKEN = {
    "closed at once": b"",
    "closed in the status": b"HTTP/1.1 2",
    "no HTTP": b"\x00\x01secret\r\n\r\n",
    "closed in the body": ANSWERED + b"Content-Length: 10\r\n\r\nabc",
    "closed in a chunk": ANSWERED + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
    "a chunk of no size": ANSWERED + b"Transfer-Encoding: chunked\r\n\r\nsecret\r\n",
    "early hints alone": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "too many headers": ANSWERED + b"X-A: b\r\n" * 200 + b"\r\n",
    "a header that is too long": ANSWERED + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n",
    "headers that are too long": ANSWERED + (b"X-A: " + b"a" * 7_000 + b"\r\n") * 10 + b"\r\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_whole_answer_may_have_been_sent(what, caplog):
    caplog.set_level(logging.DEBUG)
    with http_standin(Reply(raw=[BROKEN[what]])) as server:
        with pytest.raises(MaybeSentError) as error:
            sent(f"{server.url}/secret", headers={"X-Key": "secret"})

        assert len(server.requests) == 1
    assert f"127.0.0.1:{server.port}" in str(error.value)
    assert "secret" not in f"{error.value!r} {error.value.__cause__!r} {caplog.text}"


def test_a_header_that_is_none_ends_the_headers_and_tells_the_log_nothing(caplog):
    caplog.set_level(logging.DEBUG)
    with http_standin(Reply(raw=[ANSWERED, b"no header\r\nContent-Length: 2\r\n\r\nab"])) as server:
        assert sent(f"{server.url}/secret").status == 200

    assert "secret" not in caplog.text


def test_who_answers_before_it_has_read_all_is_heard():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            connection.recv(10)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            time.sleep(0.1)
            connection.close()  # with most of the body unread, so that the sender's pipe breaks

        threading.Thread(target=answer, daemon=True).start()
        assert sent(f"http://127.0.0.1:{server.getsockname()[1]}", body=BLANK).status == 413


def test_of_a_long_body_64_kb_are_read():
    def endless(_):
        return Reply(raw=itertools.chain([ANSWERED + b"\r\n"], itertools.repeat(bytes(10_000))))

    with http_standin(endless) as server, not_longer_than(2):
        assert len(sent(server.url).body) == MOST_BYTES == 65_536
    with http_standin(Reply(body=bytes(MOST_BYTES))) as server:
        assert len(sent(server.url).body) == MOST_BYTES


@pytest.mark.parametrize(
    "coding, pack", [("gzip", gzip.compress), ("X-GZip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_body_that_was_packed_without_being_asked_is_unpacked_to_64_kb(coding, pack):
    with http_standin(Reply(headers={"Content-Encoding": coding}, body=pack(b"made"))) as server:
        assert sent(server.url).body == b"made"
        server.answer = Reply(headers={"Content-Encoding": coding}, body=pack(BLANK))
        assert sent(server.url).body == bytes(MOST_BYTES)


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, gzip"])
def test_a_body_that_cannot_be_unpacked_stays_as_it_came(coding):
    with http_standin(Reply(headers={"Content-Encoding": coding}, body=b"as it came")) as server:
        assert sent(server.url).body == b"as it came"


def test_a_refused_connection_is_not_sent():
    with pytest.raises(NotSentError, match=r"No connection to 127\.0\.0\.1:\d+: Connection refused"):
        sent(f"http://127.0.0.1:{free_port()}/secret")


REFUSED = [
    ({"url": "https://user:secret@example.com"}, "user name"),
    ({"url": "http://example.com/secret", "allows_http": False}, "OUTGOING_ALLOW_HTTP"),
    ({"url": "http://127.1/secret", "allowed": AllowedHosts()}, "127.0.0.1 is not on the public internet"),
    ({"url": "http://localhost/secret", "allowed": AllowedHosts()}, "localhost leads to"),
    ({"url": "http://169.254.169.254/secret", "allowed": parse_allowed_hosts(["0.0.0.0/0"])}, "never sent to"),
    ({"url": "http://127.0.0.1/secret", "headers": {"X-Key": "secret\r\nX: y"}}, "X-Key"),
    ({"url": "http://127.0.0.1/secret", "headers": {"host": "secret"}}, "host"),
    ({"url": "http://127.0.0.1/secret", "method": "CONNECT"}, "method"),
]


@pytest.mark.parametrize("changes, reason", REFUSED)
def test_what_is_refused_is_not_sent_and_says_why_without_secrets(changes, reason, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it was sent"))
    with pytest.raises(NotSentError) as error:
        sent(**changes)

    assert reason in str(error.value)
    assert "secret" not in str(error.value)


def test_requests_and_answers_show_no_secrets():
    request = Request("POST", "https://example.com/secret", {"a": "secret"}, b"secret")

    assert repr(request) == "Request(method='POST')"
    assert "secret" not in repr(http.Answer(200, {"a": "secret"}, b"secret", 1.0))


# TLS


@pytest.fixture
def authority(tmp_path, monkeypatch):
    authority = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    http.trust.cache_clear()
    yield authority
    http.trust.cache_clear()


@pytest.fixture
def shop(monkeypatch):
    """The name shop.example leads to loopback."""
    with name_standin([["127.0.0.1"]]) as server:
        monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
        yield server


def test_the_certificate_is_checked_for_the_name_while_the_connection_goes_to_the_address(authority, shop):
    context, names_asked_for = authority.server("shop.example"), []
    context.sni_callback = lambda _, name, __: names_asked_for.append(name)
    with http_standin(Reply(body=b"in private"), tls=context) as server:
        answer = sent(f"https://shop.example:{server.port}/x", allows_http=False)

        [request] = server.requests
    assert answer.body == b"in private"
    assert request.headers["Host"] == f"shop.example:{server.port}"
    assert names_asked_for == ["shop.example"]
    assert shop.questions == ["shop.example"]


def test_an_address_can_have_a_certificate_too(authority):
    with http_standin(tls=authority.server("127.0.0.1")) as server:
        assert sent(server.url).status == 200


@pytest.mark.parametrize(
    "name, days, reason", [("other.example", 1, "Hostname mismatch"), ("shop.example", -1, "expired")]
)
def test_a_wrong_certificate_is_refused_before_anything_is_sent(authority, shop, name, days, reason):
    with http_standin(tls=authority.server(name, days=days)) as server:
        with pytest.raises(NotSentError, match=f"certificate of shop.example:{server.port} is refused.*{reason}"):
            sent(f"https://shop.example:{server.port}/secret")

        assert server.requests == []


def test_the_certificate_of_an_unknown_authority_is_refused(tmp_path, shop):
    http.trust.cache_clear()
    with http_standin(tls=make_authority(tmp_path).server("shop.example")) as server:
        with pytest.raises(NotSentError, match="is refused"):
            sent(f"https://shop.example:{server.port}")

        assert server.requests == []


def test_what_speaks_no_tls_is_not_sent_to():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(NotSentError, match="TLS failed"):
            sent(f"https://127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize("first", [ANSWERED + b"X-A: ", ANSWERED + b"\r\n"])
def test_the_deadline_holds_under_tls(authority, first):
    with (
        http_standin(lambda _: Reply(raw=dripping(b"a", first)), tls=authority.server("127.0.0.1")) as server,
        not_longer_than(0.9),
        pytest.raises(MaybeSentError, match="in time"),
    ):
        sent(server.url, seconds=0.4)


# Names


@pytest.fixture
def connected_to(monkeypatch):
    """Where connections were tried. None but those to loopback are made."""
    tried, connect = [], socket.socket.connect

    def record(connection, address):
        tried.append(address)
        if not address[0].startswith("127."):
            raise ConnectionRefusedError(111, "Connection refused")
        connect(connection, address)

    def watch(name_server):
        monkeypatch.setattr(socket, "getaddrinfo", name_server.getaddrinfo)
        monkeypatch.setattr(socket.socket, "connect", record)
        return tried

    return watch


def without_the_name_server(tried, server):
    return [address for address in tried if address[1] != server.port]


def test_a_name_that_leads_elsewhere_once_it_was_checked_is_connected_to_where_it_led_then(connected_to):
    with http_standin() as inside, name_standin([["93.184.216.34"], ["127.0.0.1"]]) as name_server:
        tried = connected_to(name_server)
        url = f"http://rebinding.example:{inside.port}"

        with pytest.raises(NotSentError, match="No connection"):
            sent(url, allowed=AllowedHosts())
        assert name_server.questions == ["rebinding.example"]
        assert without_the_name_server(tried, name_server) == [("93.184.216.34", inside.port)]

        with pytest.raises(NotSentError, match=r"leads to 127\.0\.0\.1"):
            sent(url, allowed=AllowedHosts())
        assert len(name_server.questions) == 2
        assert without_the_name_server(tried, name_server) == [("93.184.216.34", inside.port)]
        assert inside.connections == 0


@pytest.mark.parametrize("answer", [["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "93.184.216.34"]])
def test_a_name_that_also_leads_inside_is_not_connected_to_at_all(connected_to, answer):
    with name_standin([answer]) as name_server:
        tried = connected_to(name_server)
        with pytest.raises(NotSentError, match=r"leads to 127\.0\.0\.1"):
            sent("http://both.example", allowed=AllowedHosts())

        assert without_the_name_server(tried, name_server) == []


def test_where_one_address_takes_no_connection_the_next_is_tried(connected_to):
    with http_standin() as server, name_standin([["93.184.216.34", "127.0.0.9", "127.0.0.1"]]) as name_server:
        tried = connected_to(name_server)

        assert sent(f"http://three.example:{server.port}").status == 200
        assert [host for host, _ in without_the_name_server(tried, name_server)] == [
            "93.184.216.34",
            "127.0.0.9",
            "127.0.0.1",
        ]


def test_an_address_that_is_silent_leaves_time_for_the_next(monkeypatch):
    full = socket.create_server(("127.0.0.2", 0), backlog=0)
    port = full.getsockname()[1]
    waiting = [socket.socket() for _ in range(4)]
    for connection in waiting:  # nobody accepts, so that the system takes no more
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.2", port))
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with socket.create_server(("127.0.0.1", port)) as server, not_longer_than(2):

        def answer():
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(ANSWERED + b"Content-Length: 0\r\n\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        assert sent(f"http://two.example:{port}", seconds=1).status == 200
    for connection in [full, *waiting]:
        connection.close()


def test_a_name_that_does_not_exist_is_not_sent(monkeypatch):
    with name_standin([[]]) as server:
        monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
        with pytest.raises(NotSentError, match=r"The name no\.example could not be looked up: no such name"):
            sent("https://no.example/secret")


def test_a_name_server_that_is_away_is_not_a_wrong_name(monkeypatch):
    def away(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    with pytest.raises(NotSentError, match="the name server does not answer"):
        sent("https://shop.example")


@pytest.fixture
def hanging(monkeypatch):
    """Names that start with `slow` hang until the test ends. The list has those that were asked for."""
    asked, ended, found = [], threading.Event(), (socket.AF_INET, socket.SOCK_STREAM, 6, "")

    def look_up(host, port, **_):
        asked.append(host)
        if host.startswith("slow"):
            ended.wait()
        return [(*found, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield asked
    ended.set()
    while names._running:
        time.sleep(0.01)


def test_a_look_up_that_hangs_holds_nobody_longer_than_the_deadline(hanging):
    with not_longer_than(0.9), pytest.raises(NotSentError, match="could not be looked up in time"):
        sent("https://slow.example", seconds=0.3)


def test_a_name_that_hangs_takes_one_thread_however_many_ask(hanging):
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(NotSentError):
            sent("https://slow.example", seconds=0.05)

    assert hanging == ["slow.example"]
    assert threading.active_count() == before + 1


def test_look_ups_that_hang_are_bounded_in_number(hanging, monkeypatch):
    monkeypatch.setattr(names, "MOST_LOOKUPS", 3)
    for name in range(3):
        with pytest.raises(NotSentError, match="in time"):
            sent(f"https://slow{name}.example", seconds=0.05)
    with pytest.raises(NotSentError, match="too many others hang"):
        sent("https://quick.example", seconds=0.05)

    assert len(hanging) == 3


def test_an_address_is_not_looked_up(hanging):
    with http_standin() as server:
        sent(server.url)
    with pytest.raises(NotSentError, match="No connection to"):
        sent(f"http://[::1]:{free_port()}", allowed=parse_allowed_hosts(["::1"]))

    assert hanging == []


def test_an_answer_about_a_name_is_not_kept(hanging):
    with http_standin() as server:
        for _ in range(2):
            sent(f"http://quick.example:{server.port}")

    assert hanging == ["quick.example"] * 2
