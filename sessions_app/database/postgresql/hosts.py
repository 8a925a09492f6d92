"""Which of several hosts is tried first: the one that took us last.

A host whose machine is gone says nothing for two seconds, which is longer than a begin waits. Tried first each time, it
would keep every begin from the one that has taken over.
"""

from typing import Any, TypeVar

import psycopg

Connection = TypeVar("Connection", bound=psycopg.Connection[Any])

# By the hosts that were given, as libpq takes them.
_took_us: dict[tuple[str, str], tuple[str, str]] = {}


def connect_to_last_first(kind: type[Connection], parameters: dict[str, Any]) -> Connection:
    """Connect with psycopg's parameters, the hosts in the order that is likely to be quick."""
    given = str(parameters.get("host") or ""), str(parameters.get("port") or "")
    hosts = _pairs(*given)
    if len(hosts) < 2:
        return kind.connect(**parameters)
    last = _took_us.get(given)
    hosts.sort(key=lambda host: host != last)
    told = {"host": ",".join(name for name, _ in hosts), "port": ",".join(port for _, port in hosts)}
    connection = kind.connect(**parameters | told)
    took_us = connection.info.host, str(connection.info.port)
    _took_us[given] = next((host for host in hosts if (host[0], host[1] or "5432") == took_us), hosts[0])
    return connection


def _pairs(host: str, port: str) -> list[tuple[str, str]]:
    names, ports = host.split(","), port.split(",")
    return list(zip(names, ports * len(names) if len(ports) == 1 else ports, strict=True))
