"""A restored or copied database sends nothing until staff say that it is the real one."""

from functools import cache
from pathlib import Path

from django.db import Error, connection, transaction
from django.utils import timezone

from automations.models import Destination, Installation


def may_send() -> bool:
    """Whether this database is the one that staff, or its first destination, said it is."""
    known = Installation.objects.filter(pk=1).values_list("identity", flat=True).first()
    if known is None:
        return _know_this_one() if Destination.objects.exists() else True
    return known == identity()


def is_copy() -> bool:
    """Whether it looks like a copy of another one, or one that was restored. Writes nothing."""
    known = Installation.objects.filter(pk=1).values_list("identity", flat=True).first()
    return known is not None and known != identity()


def confirm_this_one() -> None:
    """Staff say so: this database sends from now on."""
    Installation.objects.update_or_create(pk=1, defaults={"identity": identity()})


def distrust_this_one() -> None:
    """It was just restored: it sends nothing until staff say so, whatever its identity.

    A restored file may get the very inode that the lost one had. The columns are those that every version knows.
    """
    doubt = {"identity": f"restored {timezone.now():%Y-%m-%dT%H:%M:%SZ}"}
    with connection.cursor() as cursor:
        if Installation._meta.db_table not in connection.introspection.table_names(cursor):
            return  # of a version that sent nothing
        if not Installation.objects.filter(pk=1).update(**doubt):
            cursor.execute("INSERT INTO automations_installation (id, identity) VALUES (1, %s)", [doubt["identity"]])


def _know_this_one() -> bool:
    installation, _ = Installation.objects.get_or_create(pk=1, defaults={"identity": identity()})
    return installation.identity == identity()


def identity() -> str:
    """What a copy has otherwise: SQLite's file, or PostgreSQL's cluster and the database in it.

    A file that was copied has another inode; a dump that was restored has another oid, and another cluster another
    system identifier (pg_control_system, PostgreSQL's documentation, section 9.27).
    """
    return _file_of(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else _database()


def _file_of(name: str) -> str:
    path = Path(name)
    if not path.exists():  # a database in memory
        return f"sqlite {name}"
    return f"sqlite {path.stat().st_ino}"


@cache
def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
        (oid,) = cursor.fetchone()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT system_identifier FROM pg_control_system()")
            (cluster,) = cursor.fetchone()
    except Error:  # a provider may not let us look
        cluster = "unknown"
    return f"postgresql {cluster} {oid}"
