"""The entrance of a web process, before Django: who comes in at once, who waits, and whose body is read first.

Whoever waits here holds a thread, which is cheap, but no database connection. Requests of strangers and of staff never
hold one of those threads, nor a connection, that LiveTok needs.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from tempfile import SpooledTemporaryFile
from typing import IO, Any, TypeAlias

from django.http import StreamingHttpResponse
from django.utils.module_loading import import_string

from config.headers import ALWAYS, UNLESS_SAID
from config.middleware import client_address
from config.minutes import minutes
from config.rooms import HEALTH, KNOCKING, LIVETOK, PEOPLE, READING, SIGN_IN, TAKING, Room
from config.sign_in.network import network_of
from config.slow_clients import Visit, visits

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
Application: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

LARGEST_BODY = 16 * 1024 * 1024
LARGEST_SIGN_IN = 16 * 1024
LARGEST_IN_MEMORY = 256 * 1024
PIECE = 64 * 1024
# A body may take ten seconds, and longer at less than this.
SLOWEST_BYTES_PER_SECOND = 25_000
READ_SECONDS = 10.0

WEBHOOK_PATHS = frozenset({"/webhooks/livetok", "/webhooks/livetok/begin", "/webhooks/livetok/end"})
HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
# Where a password is looked at.
SIGN_IN_PATHS = frozenset({"/accounts/login", "/accounts/reauthenticate", "/accounts/password"})

TURNED_AWAY = "503 Service Unavailable", "Frontdesk has much to do. Try again in a few seconds.\n"
TOO_SLOW = "408 Request Timeout", "The request's body came too slowly, or not at all. Send it again.\n"
TOO_LARGE = "413 Content Too Large", "The request's body is larger than anything that is taken here.\n"


class Entrance:
    """A WSGI application before Django's."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        visit = Visit()
        visits.here.add(visit)
        try:
            return self._let_in(_room_of(environ), visit, environ, start_response)
        except BaseException:
            visits.here.discard(visit)
            raise

    def _let_in(self, room: Room, visit: Visit, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        is_webhook = room is LIVETOK or room is KNOCKING
        largest = LARGEST_SIGN_IN if room is SIGN_IN else LARGEST_BODY
        refusal = None if is_webhook else _read_body(environ, visit, largest)
        if refusal is None and not room.enter():
            refusal = TURNED_AWAY
        if refusal:
            visits.here.discard(visit)
            return _refuse(start_response, *refusal)
        try:
            if is_webhook:
                visit.wait_for_client()  # for its body; we ourselves take a fraction of that
            return _Answer(self._application(environ, start_response), room, visit, environ)
        except BaseException:
            room.leave()
            raise


def _room_of(environ: Environ) -> Room:
    path = environ["PATH_INFO"].rstrip("/")
    if path in WEBHOOK_PATHS:
        # In memory alone: nobody here has a database connection yet.
        return LIVETOK if _has_known_key()(environ) else KNOCKING
    if path in HEALTH_PATHS:
        return HEALTH
    return SIGN_IN if path in SIGN_IN_PATHS and environ["REQUEST_METHOD"] == "POST" else PEOPLE


@cache
def _has_known_key() -> Callable[[Environ], bool]:
    """`known_keys.has_known_key`, which needs models: they are there once Django is, and that comes after us."""
    found: Callable[[Environ], bool] = import_string("config.known_keys.has_known_key")
    return found


class _Answer:
    """What Django answers; its place is free once it is taken.

    While its client takes a part, somebody else has the place: a download computes little and waits much.
    """

    def __init__(self, response: Iterable[bytes], room: Room, visit: Visit, environ: Environ) -> None:
        self._response, self._room, self._visit, self._environ = response, room, visit, environ
        self._taking: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self._in_parts() if isinstance(self._response, StreamingHttpResponse) else iter(self._response)

    def _in_parts(self) -> Iterator[bytes]:
        for part in self._response:
            self._visit.wait_for_client()
            self._step_outside()
            yield part
            if self._taking is not None:
                self._room.come_back()
                TAKING.leave(self._taking)
                self._taking = None
            self._visit.work_anew()

    def _step_outside(self) -> None:
        network = network_of(client_address(self._environ))
        if TAKING.enter(network):
            self._taking = network
            self._room.leave()

    def close(self) -> None:
        try:
            self._response.close()  # type: ignore[attr-defined]  # Django's have it
        finally:
            visits.here.discard(self._visit)
            if self._taking is None:
                self._room.leave()
            else:
                TAKING.leave(self._taking)


def _read_body(environ: Environ, visit: Visit, largest: int) -> tuple[str, str] | None:
    """Put the whole body in the place of the one that is still to come. Returns why not, as status and words."""
    length = _stated_length(environ)
    if length == 0:
        return None
    if length is not None and length > largest:
        return TOO_LARGE
    address = network_of(client_address(environ))
    if not READING.enter(address):
        minutes.count("reading turned away")
        return TURNED_AWAY
    try:
        visit.wait_for_client(READ_SECONDS + (length or 0) / SLOWEST_BYTES_PER_SECOND)
        body, read_bytes = _body(environ["wsgi.input"], largest + 1 if length is None else length)
    finally:
        READING.leave(address)
    if length is not None and read_bytes < length:  # its client went away, or was cut off
        return TOO_SLOW
    if read_bytes > largest:
        return TOO_LARGE
    environ["wsgi.input"] = body
    visit.work()
    return None


def _stated_length(environ: Environ) -> int | None:
    """None where the body comes in chunks, of which only the web server knows the last."""
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return None
    length = environ.get("CONTENT_LENGTH", "")
    return int(length) if length.isascii() and length.isdecimal() else 0


def _body(stream: Any, most_bytes: int) -> tuple[IO[bytes], int]:
    body = SpooledTemporaryFile(max_size=LARGEST_IN_MEMORY)  # noqa: SIM115 - it lives as long as the request
    missing = most_bytes
    while missing and (piece := stream.read(min(missing, PIECE))):
        body.write(piece)
        missing -= len(piece)
    body.seek(0)
    return body, most_bytes - missing


def _refuse(start_response: StartResponse, status: str, words: str) -> Iterable[bytes]:
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(words))),
        ("Connection", "close"),
        *ALWAYS,
        *UNLESS_SAID,
    ]
    if status.startswith("503"):
        headers.append(("Retry-After", "5"))
    start_response(status, headers)
    return [words.encode()]
