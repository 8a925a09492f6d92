"""What the pulse makes of a PostgreSQL server that takes no connection, in whichever language it says why."""

import socket
import struct
import threading
import time
from contextlib import closing, contextmanager

import psycopg
import pytest
from django.db import connection

from sessions_app.database.postgresql.refusal import serves_others
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


TOO_MANY = refusal("ВАЖНО", "53300", "извините, уже слишком много клиентов")
STARTING = refusal("ВАЖНО", "57P03", "система баз данных запускается")
RECOVERING = refusal("FATAL", "57P03", "the database system is in recovery mode")


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


def test_a_server_with_too_many_connections_lives_in_any_language(look):
    with server_that_says(TOO_MANY) as port:
        assert look(port) == (False, False)


@pytest.mark.parametrize("said", [STARTING, RECOVERING], ids=["starting", "recovering"])
def test_a_server_that_starts_or_recovers_is_away(look, said):
    with server_that_says(said) as port:
        assert look(port) == (True, True)


def test_a_server_that_lets_in_and_answers_nothing_is_away(look):
    with server_that_says(LET_IN, and_ends=False) as port:
        assert look(port) == (True, True)


def test_the_real_server_says_why_it_takes_no_connection(db):
    connection.ensure_connection()
    real = connection.get_connection_params()
    for changed, serves in [
        ({"dbname": "none_of_that_name"}, True),
        ({"password": "wrong"}, True),
        ({"port": 1}, False),
    ]:
        known = {name: real[name] for name in ("host", "port", "user", "password", "dbname")}
        with pytest.raises(psycopg.OperationalError) as caught, closing(psycopg.connect(**known | changed)):
            pass
        assert serves_others(caught.value, LOOK_SECONDS) is serves
