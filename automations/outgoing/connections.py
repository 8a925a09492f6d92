"""Connections to addresses that were looked up and checked, each with an end, whatever the other side does."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from automations.outgoing.names import Place


class NoThreadError(OSError):
    """The machine is out of threads, so that no end could be set."""

    def __init__(self) -> None:
        super().__init__("The machine is out of threads.")


def connect(places: list[Place], deadline: float) -> socket.socket:
    """A connection to the first address that takes one. The time left is shared among those not yet tried.

    `deadline` is by time.monotonic(). Raises OSError, TimeoutError where nobody answered in time.
    """
    last: OSError = TimeoutError()
    for place, (family, _, where) in enumerate(places):
        share = (deadline - time.monotonic()) / (len(places) - place)
        if share <= 0:
            break
        try:
            return _connected(family, where, share)
        except OSError as error:
            last = error
    raise last


def _connected(family: socket.AddressFamily, where: tuple[Any, ...], seconds: float) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        # No name, but an address that was checked: a name could lead elsewhere by now.
        connection.connect(where)
        connection.settimeout(None)  # from here on `cut_off` ends it
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        connection.close()
        raise
    return connection


@contextmanager
def cut_off(connection: socket.socket, deadline: float) -> Iterator[threading.Event]:
    """Shut the connection down at the deadline. The event tells an end by us from one by the other side.

    A socket's own time limit starts anew with each byte, so whoever drips would never meet it. Raises NoThreadError.
    """
    is_over = threading.Event()
    handle = connection.dup()  # TLS takes over the descriptor of the first

    def cut() -> None:
        is_over.set()
        with suppress(OSError):
            handle.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0, deadline - time.monotonic()), cut)
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError as error:
        handle.close()
        raise NoThreadError from error
    try:
        yield is_over
    finally:
        timer.cancel()
        timer.join()  # else it could shut down whichever connection gets the descriptor next
        handle.close()
