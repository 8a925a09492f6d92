"""A stand-in for a pooler: it passes everything on to PostgreSQL, and gives out process numbers of its own."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# BackendKeyData: type, length, process, secret (PostgreSQL's documentation, "Message Formats").
KEY_DATA = b"K\x00\x00\x00\x0c"
OWN_NUMBER = struct.pack("!i", 4711)


@contextmanager
def pooler(host: str, port: int) -> Iterator[int]:
    """The port of one before the server at that address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, host, port), daemon=True).start()
        yield listening.getsockname()[1]


def _accept(listening: socket.socket, host: str, port: int) -> None:
    with suppress(OSError):  # closed: the test is over
        while True:
            client, _ = listening.accept()
            server = socket.create_connection((host, port))
            threading.Thread(target=_pass_on, args=(client, server), daemon=True).start()
            threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError), source, target:
        while content := source.recv(65536):
            before, found, after = content.partition(KEY_DATA)
            target.sendall(before + found + OWN_NUMBER + after[4:] if found else content)
