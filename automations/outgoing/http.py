"""Sending one HTTP request to an address that was checked, within a time that holds whatever the receiver does.

By the standard library's client: urllib3 would add only warnings about odd answers, with addresses that hold secrets.
"""

import http.client
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache

from automations.outgoing.addresses import AddressError, AllowedHosts, Target, check_addresses, check_url
from automations.outgoing.connections import NoThreadError, connect, cut_off
from automations.outgoing.headers import HeaderError, checked_headers
from automations.outgoing.names import LookupFailedError, Place, places_of

MOST_BYTES = 64 * 1024
MOST_INTERIM = 100
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Request:
    """Its representation shows neither address nor headers nor body: all may hold secrets."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What the receiver said. `headers` have lower-case names, `body` ends after 64 KB, `seconds` is what it took."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    seconds: float


class NotSentError(Exception):
    """Nothing can have reached the receiver. Its text is for staff, and holds no secret."""


class MaybeSentError(Exception):
    """The request went out, at least in part, and no whole answer came. Its text is for staff, and holds no secret.

    `status` is the answer's, where that line came: then the receiver did get the request.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


def send(request: Request, *, seconds: float, allowed: AllowedHosts, allows_http: bool) -> Answer:
    """Send a request once, and read its answer, in `seconds` at most, looking the name up included.

    No redirect is followed, no proxy and no cookie used, nothing repeated. Raises NotSentError or MaybeSentError.
    """
    started = time.monotonic()
    deadline = started + seconds
    try:
        if request.method not in METHODS:
            raise NotSentError(f"The method is not one of {', '.join(METHODS)}.")
        target = check_url(request.url, allows_http=allows_http)
        headers = _headers(request, target)
        places = places_of(target.host, target.port, seconds=deadline - time.monotonic())
        check_addresses(target, [address for _, address, _ in places], allowed)
    except (AddressError, HeaderError, LookupFailedError) as error:
        raise NotSentError(str(error)) from error
    try:
        with (
            closing(_connect(target, places, deadline)) as plain,
            cut_off(plain, deadline) as is_over,
            closing(_secured(plain, target, is_over)) as connection,
        ):
            status, answer_headers, body = _exchange(connection, request, target, headers, is_over)
    except NoThreadError as error:
        raise NotSentError(str(error)) from error
    return Answer(status, answer_headers, body, time.monotonic() - started)


def _headers(request: Request, target: Target) -> dict[str, str]:
    headers = checked_headers(request.headers)
    if not any(name.lower() == "user-agent" for name in headers):
        headers["User-Agent"] = "Frontdesk"
    return headers | {"Host": target.authority, "Accept-Encoding": "identity", "Connection": "close"}


def _connect(target: Target, places: list[Place], deadline: float) -> socket.socket:
    try:
        return connect(places, deadline)
    except OSError as error:
        reason = "nobody answered in time" if isinstance(error, TimeoutError) else error.strerror or "it failed"
        raise NotSentError(f"No connection to {target.authority}: {reason}.") from error


@cache
def trust() -> ssl.SSLContext:
    """The system's authorities, or those of SSL_CERT_FILE, read once in each process."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _secured(plain: socket.socket, target: Target, is_over: threading.Event) -> socket.socket:
    if target.scheme == "http":
        return plain
    try:
        return trust().wrap_socket(plain, server_hostname=target.host)
    except ssl.SSLCertVerificationError as error:
        raise NotSentError(f"The certificate of {target.authority} is refused: {error.verify_message}.") from error
    except (OSError, ValueError) as error:
        reason = "it took too long" if is_over.is_set() else "TLS failed. Look whether the port is one for https"
        raise NotSentError(f"No secure connection to {target.authority}: {reason}.") from error


def _exchange(
    connection: socket.socket, request: Request, target: Target, headers: Mapping[str, str], is_over: threading.Event
) -> tuple[int, dict[str, str], bytes]:
    """The answer's status, headers and body. Errors have no cause: the receiver may have echoed what it got."""
    client = http.client.HTTPConnection(target.host, target.port)
    client.sock = connection
    client.response_class = _FinalResponse
    status = None
    try:
        with suppress(BrokenPipeError):  # who answers before it has read all may still be heard
            client.request(request.method, target.path, request.body or None, headers)
        with closing(client.getresponse()) as response:
            status = response.status
            found = _joined(response)
            body = _body(response)
    except (OSError, http.client.HTTPException, ValueError) as error:
        fault = None if isinstance(error, OSError | http.client.IncompleteRead) else "what came is no HTTP answer"
    else:
        if not is_over.is_set() and status >= 200:
            return status, found, body
        fault = None if is_over.is_set() else "no final answer came"
    reason = "no whole answer came in time" if is_over.is_set() else fault or "the connection broke"
    raise MaybeSentError(f"The request went out to {target.authority}, but {reason}.", status)


class _FinalResponse(http.client.HTTPResponse):
    """Passes over interim answers, such as 103 with its hints; the library knows 100 alone (RFC 9110, 15.2)."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MOST_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("too many interim answers")


def _joined(response: http.client.HTTPResponse) -> dict[str, str]:
    """The headers by lower-case name, those of one name in one line (RFC 9110, 5.3)."""
    joined: dict[str, str] = {}
    for name, value in response.getheaders():
        name = name.lower()
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    if sum(len(name) + len(value) for name, value in joined.items()) > MOST_BYTES:
        raise http.client.HTTPException("too many headers")
    return joined


def _body(response: http.client.HTTPResponse) -> bytes:
    """At most 64 KB are read, and at most so much becomes of them."""
    body = response.read(MOST_BYTES)
    if len(body) < MOST_BYTES and response.length:
        raise http.client.IncompleteRead(body, response.length)
    if response.headers.get("Content-Encoding", "").strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    try:  # asked for or not: some compress for everybody
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body, MOST_BYTES)
    except zlib.error:
        return body
