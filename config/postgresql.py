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
    hosts, ports = _split(database.get("HOST")), _split(database.get("PORT"))
    # Written after the last host, a port would be taken for that of all.
    if len(hosts) > 1 and len(ports) not in (0, len(hosts)):
        raise ImproperlyConfigured(
            f"{setting} names {len(hosts)} hosts and {len(ports)} port{'s' if len(ports) > 1 else ''}. Give each host "
            "its port, such as db1:5432,db2:5432, or none of them"
        )


def set_up_failover(database: dict[str, Any]) -> None:
    """Of several hosts, only the one that takes writing will do. Raises ImproperlyConfigured where others would."""
    if len(_split(database.get("HOST"))) > 1:
        wanted = database["OPTIONS"].setdefault("target_session_attrs", WRITES[0])
        if wanted not in WRITES:
            raise ImproperlyConfigured(
                f"DATABASE_URL names several hosts with target_session_attrs={wanted}, so it may find one that takes "
                "no writing. Give target_session_attrs=read-write"
            )


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
