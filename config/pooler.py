"""Whether a pooler such as PgBouncer stands between this connection and PostgreSQL."""

from django.db import connection


def is_behind_pooler() -> bool:
    """Whether somebody else answers than the process that works: a pooler gives out numbers of its own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return bool(cursor.fetchone()[0] != connection.connection.info.backend_pid)
