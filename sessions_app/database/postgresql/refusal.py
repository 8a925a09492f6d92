"""Why a server takes no connection. It gives a code, but libpq passes on only its words, in the server's language."""

import socket
import struct
from contextlib import suppress
from typing import Any

import psycopg

PROTOCOL = 3 << 16
AUTHENTICATION, ERROR = b"R", b"E"
# The server starts, stops or recovers (PostgreSQL, appendix A): what it served, it serves no more.
CANNOT_CONNECT_NOW = b"57P03"


def serves_others(error: BaseException | None, within_seconds: float) -> bool:
    """Whether the server that turned us away (too many connections, say) still serves the connections that stand.

    `error` is psycopg's. Asks the server the first thing that every client does.
    """
    attempt = getattr(error, "pgconn", None)
    if attempt is None:  # it took too long
        return False
    with suppress(OSError, struct.error, psycopg.Error), _reached(attempt, within_seconds) as server:
        server.sendall(_startup(attempt.user, attempt.db))
        with server.makefile("rb") as answers:
            kind, length = struct.unpack("!cI", answers.read(5))
            return kind == AUTHENTICATION or (kind == ERROR and _code(answers.read(length - 4)) != CANNOT_CONNECT_NOW)
    return False


def _reached(attempt: Any, within_seconds: float) -> socket.socket:
    host, port = (attempt.hostaddr or attempt.host).decode(), int(attempt.port)
    if not host.startswith("/"):
        return socket.create_connection((host, port), within_seconds)
    server = socket.socket(socket.AF_UNIX)
    server.settimeout(within_seconds)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


def _startup(user: bytes, database: bytes) -> bytes:
    content = b"user\0" + user + b"\0database\0" + database + b"\0\0"
    return struct.pack("!II", len(content) + 8, PROTOCOL) + content


def _code(fields: bytes) -> bytes:
    return next((each[1:] for each in fields.split(b"\0") if each.startswith(b"C")), b"")
