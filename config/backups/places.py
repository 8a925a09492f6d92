"""Which database a backup is made of, or restored into: Frontdesk's own, reached without a pooler, or a scratch one."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import DEFAULT_DB_ALIAS, connection, connections
from psycopg import sql

from config.backups.drafts import is_left_over
from config.backups.record import BackupFailed
from config.pooler import is_behind_pooler
from config.secrets import private_folder


@contextmanager
def working_on(changes: Mapping[str, Any]) -> Iterator[None]:
    """In the block, this thread's connection is to a database with other settings, such as another NAME."""
    own = connections[DEFAULT_DB_ALIAS]
    kept = own.settings_dict
    own.close()
    ContentType.objects.clear_cache()  # their numbers are another database's
    # In a dictionary of its own: the old one is all threads'.
    own.settings_dict = {**kept, **changes}
    try:
        yield
    finally:
        own.close()
        own.settings_dict = kept
        ContentType.objects.clear_cache()


@contextmanager
def reached_directly() -> Iterator[None]:
    """In the block, the connection is to the database server itself.

    pg_dump and pg_restore change settings of their session, which a pooler would hand to Frontdesk with the connection
    afterwards. Raises BackupFailed.
    """
    with working_on(settings.BACKUP_DATABASE):
        if not settings.IS_SQLITE and is_behind_pooler():
            name = "BACKUP_DATABASE_URL" if settings.BACKUP_DATABASE else "DATABASE_URL"
            raise BackupFailed(
                f"{name}: there is a pooler such as PgBouncer, through which pg_dump and pg_restore must not go. Set "
                "BACKUP_DATABASE_URL to the database server's own address."
            )
        yield


@contextmanager
def scratch_file() -> Iterator[Path]:
    """Where an SQLite file may be restored on trial, in the data folder; all of it is gone afterwards.

    What a killed process left there is deleted by the next one, if it is a day old.
    """
    for left in private_folder(settings.DATA_DIR).glob("verifying-*"):
        if is_left_over(left):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="verifying-", dir=settings.DATA_DIR) as folder:
        yield Path(folder, "scratch.sqlite3")


@contextmanager
def scratch_database() -> Iterator[str]:
    """The name of a new, empty database on the same server; it is dropped afterwards. Raises BackupFailed."""
    connection.ensure_connection()
    parameters = connection.get_connection_params() | {"autocommit": True}
    name = f"frontdesk_verifying_{secrets.token_hex(4)}"
    with psycopg.connect(**parameters) as server:
        try:
            # template0: nothing that somebody added to the other one.
            server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege as error:
            user = sql.Identifier(server.info.user).as_string(server)
            raise BackupFailed(
                f"The database user {user} may not create the scratch database into which the backup is restored. "
                f"Allow it with: ALTER ROLE {user} CREATEDB;"
            ) from error
        try:
            yield name
        finally:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
