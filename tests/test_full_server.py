"""What the pulse makes of a PostgreSQL server that takes no new connection."""

import socket
import struct
import threading
import time
from contextlib import contextmanager

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections

from sessions_app.database import shared_connections
from sessions_app.database.pulse import LOOK_SECONDS, Pulse

pytestmark = pytest.mark.only("postgresql")

SSL_REQUEST = 80877103
PATIENCE_SECONDS = 5


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


def refusal(severity: str, code: str, words: str) -> bytes:
    fields = {"S": severity, "V": "FATAL", "C": code, "M": words}
    content = b"".join(f"{name}{text}\0".encode() for name, text in fields.items()) + b"\0"
    return message(b"E", content)


FULL = refusal("ВАЖНО", "53300", "извините, уже слишком много клиентов")


# Let in without a password, told all that a client asks about, and then nothing: a pooler whose database is away.
PARAMETERS = {"server_version": "15.0", "client_encoding": "UTF8", "TimeZone": "UTC"}
LET_IN = b"".join(
    [
        message(b"R", struct.pack("!I", 0)),
        *(message(b"S", f"{name}\0{value}\0".encode()) for name, value in PARAMETERS.items()),
        message(b"Z", b"I"),
    ]
)


@contextmanager
def server_that_says(said: bytes, *, and_ends: bool = True):
    """Every client gets the same answer to its first message. Returns the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        clients = []

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                clients.append(client)
                threading.Thread(target=answer, args=[client], daemon=True).start()

        def answer(client: socket.socket) -> None:
            length, kind = struct.unpack("!II", client.recv(8))
            if kind == SSL_REQUEST:
                client.sendall(b"N")
                length, kind = struct.unpack("!II", client.recv(8))
            client.recv(length - 8)
            client.sendall(said)
            if and_ends:
                client.close()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for client in clients:
                client.close()


@contextmanager
def database_at(port: int):
    """All of this process's connections lead there."""
    connection.close()
    here, there = connection.settings_dict["PORT"], str(port)
    connection.settings_dict["PORT"] = there
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["PORT"] = here


@pytest.fixture
def look(transactional_db):
    """Whether a pulse that looks at the server on a port is still in doubt after a while, and takes it to be away."""
    pulses = []

    def look(port: int) -> tuple[bool, bool]:
        pulses.append(Pulse())
        with database_at(port):
            pulses[-1].doubt()
            time.sleep(LOOK_SECONDS + 0.2)
            return pulses[-1].is_in_doubt, pulses[-1].is_away

    yield look
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while any(pulse.is_in_doubt for pulse in pulses):
        assert time.monotonic() < give_up_at, "the database is not seen to be back"
        time.sleep(0.01)


@pytest.fixture
def free_connection(transactional_db):
    """One that a request has given back."""
    database = connections.create_connection(DEFAULT_DB_ALIAS)
    database.inc_thread_sharing()
    database.ensure_connection()
    shared_connections._free.append(database)
    yield database.connection
    database.close()
    shared_connections._free.clear()


def test_a_full_server_that_serves_the_connections_that_stand_lives(look, free_connection):
    with server_that_says(FULL) as port:
        assert look(port) == (False, False)


def test_one_that_all_requests_of_a_moment_use_is_waited_for(look, free_connection):
    used = [shared_connections._free.pop()]
    giving_back = threading.Timer(LOOK_SECONDS / 2, lambda: shared_connections._free.append(used.pop()))
    with server_that_says(FULL) as port:
        giving_back.start()
        assert look(port) == (False, False)


def test_a_server_that_serves_nobody_any_more_is_away(look, free_connection):
    free_connection.close()
    with server_that_says(FULL) as port:
        assert look(port) == (True, True)
    assert shared_connections._free == []


def test_a_full_server_is_away_for_who_has_no_connection(look):
    with server_that_says(FULL) as port:
        assert look(port) == (True, True)


def test_a_server_that_lets_in_and_answers_nothing_is_away(look):
    with server_that_says(LET_IN, and_ends=False) as port:
        assert look(port) == (True, True)
