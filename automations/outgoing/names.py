"""Looking names up within a time limit, which the system's own function does not have."""

import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from ipaddress import IPv4Address, ip_address
from typing import Any

from automations.outgoing.addresses import IPAddress

# Each is a thread that may hang for as long as the system's resolver tries: half a minute and more.
MOST_LOOKUPS = 32

Place = tuple[socket.AddressFamily, IPAddress, tuple[Any, ...]]
"""A family, the address, and what `socket.connect` takes, with the zone that IPv6 may need."""

_running: dict[tuple[str, int], "Future[list[Place]]"] = {}
_running_lock = threading.Lock()


class LookupFailedError(Exception):
    """No answer about a name. Its text is for staff."""


def places_of(host: str, port: int, *, seconds: float) -> list[Place]:
    """Every address of a host, in the system's order. Raises LookupFailedError, at the latest after `seconds`."""
    with suppress(ValueError):
        return [_place(ip_address(host), port)]
    try:
        return _lookup(host, port).result(timeout=max(0, seconds))
    except TimeoutError as error:
        raise LookupFailedError(f"The name {host} could not be looked up in time.") from error
    except socket.gaierror as error:
        # That the name server is away is no reason to tell staff that the name is wrong.
        is_away = error.errno == socket.EAI_AGAIN
        reason = "the name server does not answer" if is_away else "no such name. Look whether it is written right"
        raise LookupFailedError(f"The name {host} could not be looked up: {reason}.") from error
    except (OSError, UnicodeError) as error:
        raise LookupFailedError(f"The name {host} could not be looked up.") from error


def _place(address: IPAddress, port: int) -> Place:
    if isinstance(address, IPv4Address):
        return socket.AF_INET, address, (str(address), port)
    return socket.AF_INET6, address, (str(address), port, 0, 0)


def _lookup(host: str, port: int) -> "Future[list[Place]]":
    """The look-up of this name that runs, else a new one. So a name that hangs takes one thread, however many ask."""
    with _running_lock:
        if (running := _running.get((host, port))) is not None:
            return running
        if len(_running) >= MOST_LOOKUPS:
            raise LookupFailedError(f"The name {host} could not be looked up: too many others hang.")
        future: Future[list[Place]] = Future()
        _running[host, port] = future
    try:
        threading.Thread(target=_look_up, args=(host, port, future), name="look-up", daemon=True).start()
    except RuntimeError as error:
        _forget(host, port)
        raise LookupFailedError(f"The name {host} could not be looked up: the machine is out of threads.") from error
    return future


def _look_up(host: str, port: int, future: "Future[list[Place]]") -> None:
    try:
        found = _places(host, port)
    except Exception as error:  # noqa: BLE001 (whoever waits gets it)
        _forget(host, port)
        future.set_exception(error)
    else:
        _forget(host, port)  # first: whoever asks from now on gets a new answer
        future.set_result(found)


def _places(host: str, port: int) -> list[Place]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, ip_address(str(place[0])), place) for family, _, _, _, place in dict.fromkeys(found)]


def _forget(host: str, port: int) -> None:
    with _running_lock, suppress(KeyError):
        del _running[host, port]
