"""PostgreSQL's own programs, pg_dump and pg_restore: where they are, and how they reach the database."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection
from psycopg import conninfo, pq

from config.backups.record import BackupFailed

# Where packages put the programs of each version: Debian and Ubuntu, Red Hat's family, Alpine, Homebrew.
PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True)
class Program:
    path: str
    version: int  # the major one


def program(name: str, at_least: int) -> Program:
    """The oldest one that knows the server's version (pg_dump refuses a newer server). Raises BackupFailed."""
    found = [Program(path, version) for path in _paths(name) if (version := _version(path))]
    fitting = [candidate for candidate in found if candidate.version >= at_least]
    if fitting:
        return min(fitting, key=lambda candidate: candidate.version)
    newest = max(found, key=lambda candidate: candidate.version, default=None)
    there = f"{newest.path} is of version {newest.version}" if newest else "none was found"
    raise BackupFailed(
        f"{name} of PostgreSQL {at_least} or newer is needed, since the server is of version {at_least}; {there}. "
        f"On Debian and Ubuntu, install the package postgresql-client-{at_least} (for the image, in "
        f"deploy/Dockerfile); elsewhere PostgreSQL's client programs of that version, and put {name} on the PATH."
    )


def _paths(name: str) -> Iterator[str]:
    # First, so that of two with one version the PATH's is taken.
    for folder in os.get_exec_path():
        if path := shutil.which(name, path=folder):
            yield path
    for pattern in PLACES:
        for place in sorted(Path("/").glob(pattern[1:])):
            if path := shutil.which(name, path=str(place)):
                yield path


def _version(path: str) -> int:
    """0 where it does not say: such as a wrapper whose program is not there."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(match[1]) if match else 0


def connection_of_programs(database: str | None = None) -> tuple[str, Mapping[str, str]]:
    """For `--dbname`, and the environment: that of Frontdesk's own connection, or of another database on its server.

    The password goes by the environment, since others can see arguments. Raises BackupFailed.
    """
    known = {option.keyword.decode(): option for option in pq.Conninfo.get_defaults()}
    wanted: dict[str, Any] = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name in known and value not in (None, "")
    }
    if database is not None:
        wanted["dbname"] = database
    environment, arguments = dict(os.environ), {}
    for name, value in wanted.items():
        option = known[name]
        if option.dispchar and option.dispchar.startswith(b"*") and not option.envvar:
            raise BackupFailed(
                f"DATABASE_URL: {name} is a secret that cannot be handed to PostgreSQL's programs. Use a key file "
                "without a passphrase."
            )
        if name != "dbname" and option.envvar:
            environment[option.envvar.decode()] = str(value)
        else:
            arguments[name] = value
    return conninfo.make_conninfo(**arguments), environment
