"""Whether a failover may lose what was acknowledged."""

from django.db import connection

_WITHOUT_A_STANDBY = (
    "DATABASE_URL names several hosts, but PostgreSQL commits without waiting for a standby, so a failover may lose "
    "what LiveTok was told is stored. Set synchronous_standby_names (with Patroni: synchronous_mode: true), and leave "
    "synchronous_commit at on."
)
# What commits wait for: "local" and "off" let them go before a standby has them.
_WAITS = frozenset({"on", "remote_apply", "remote_write"})


def missing_standby() -> str | None:
    """What is wrong, in words, where a failover is set up and promise 6 would not survive it. Raises the database's
    errors."""
    if "," not in str(connection.settings_dict["HOST"]):
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit')")
        names, commit = cursor.fetchone()
    return None if names.strip() and commit in _WAITS else _WITHOUT_A_STANDBY
