"""What Frontdesk asks of its connections to PostgreSQL, unless the address says otherwise. Used by the settings."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

DEFAULTS = {
    "connect_timeout": 2,
    # A server that vanished without a word is noticed within half a minute, not within hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# What finds the one of several hosts that takes writing.
WRITES = ("read-write", "primary")
REPLICA_SAMPLE = "postgres://user:password@replica:5432/frontdesk, or leave it out"


def set_up_postgresql(setting: str, database: dict[str, Any]) -> None:
    """Complete an entry of DATABASES. Raises ImproperlyConfigured, which names the setting."""
    database["ENGINE"] = "sessions_app.database.postgresql"
    database.setdefault("CONN_MAX_AGE", None)
    database["CONN_HEALTH_CHECKS"] = True
    # A pooler may stand before any of them, and what is read much of is read in pieces.
    database["DISABLE_SERVER_SIDE_CURSORS"] = True
    options = database.setdefault("OPTIONS", {})
    for name, value in DEFAULTS.items():
        options.setdefault(name, value)
    # As in postgres:///frontdesk?host=db1,db2&port=5432,5432. Else only libpq would know of them.
    for name in ("host", "port"):
        given = options.pop(name, None)
        database[name.upper()] = database.get(name.upper()) or given or ""
    hosts, ports = _split(database.get("HOST")), _split(database.get("PORT"))
    # Written after the last host, a port would be taken for that of all.
    if len(hosts) > 1 and len(ports) not in (0, len(hosts)):
        raise ImproperlyConfigured(
            f"{setting} names {len(hosts)} hosts and {len(ports)} port{'s' if len(ports) > 1 else ''}. Give each host "
            "its port, such as db1:5432,db2:5432, or none of them"
        )


def set_up_failover(setting: str, database: dict[str, Any]) -> None:
    """Of several hosts, only the one that takes writing will do. Raises ImproperlyConfigured where others would.

    For an entry that `set_up_postgresql` has completed.
    """
    if len(_split(database.get("HOST"))) > 1:
        wanted = database["OPTIONS"].setdefault("target_session_attrs", WRITES[0])
        if wanted not in WRITES:
            raise ImproperlyConfigured(
                f"{setting} names several hosts with target_session_attrs={wanted}, so it may find one that takes "
                "no writing. Give target_session_attrs=read-write"
            )


def set_up_backup(database: dict[str, Any], primary: dict[str, Any], *, is_primary_sqlite: bool) -> dict[str, Any]:
    """What of BACKUP_DATABASE_URL takes the place of DATABASE_URL's; all else stays. Raises ImproperlyConfigured."""
    if is_primary_sqlite or database.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured(
            "BACKUP_DATABASE_URL is for PostgreSQL behind a pooler: give the address of DATABASE_URL's database that "
            "goes past it, or leave it out"
        )
    database["OPTIONS"] = primary["OPTIONS"] | database.get("OPTIONS", {})
    set_up_postgresql("BACKUP_DATABASE_URL", database)
    set_up_failover("BACKUP_DATABASE_URL", database)
    return {name: database[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")}


def set_up_replica(database: dict[str, Any], *, is_primary_sqlite: bool) -> None:
    """Complete that of REPORTS_DATABASE_URL. Raises ImproperlyConfigured."""
    if is_primary_sqlite or database.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured(
            f"REPORTS_DATABASE_URL is for a replica of PostgreSQL, and so is DATABASE_URL then. Give {REPLICA_SAMPLE}"
        )
    if not database.get("NAME"):
        raise ImproperlyConfigured(f"REPORTS_DATABASE_URL does not say which database. Give {REPLICA_SAMPLE}")
    set_up_postgresql("REPORTS_DATABASE_URL", database)
    database["TEST"] = {"MIRROR": "default"}


def _split(listed: Any) -> list[str]:
    return [part for part in str(listed or "").split(",") if part]
