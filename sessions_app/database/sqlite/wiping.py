"""Making SQLite's files forget what was deleted: `secure_delete` overwrites it, and the log is emptied here."""

from django.db import connection

from sessions_app.database.sqlite.turns import turn_to_write


def wipe_log() -> bool:
    """Bring all that the write-ahead log holds into the database, and empty it. False where a reader is in the way.

    On PostgreSQL there is nothing to do here: it takes deleted rows out by itself (autovacuum).
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return True
    with turn_to_write():
        connection.ensure_connection()
        (is_busy, *_) = connection.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy
