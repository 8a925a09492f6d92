"""Whether a failover may lose what was acknowledged."""

from django.db import connection

# What commits wait for: "local" and "off" let them go before a standby has them.
_WAITS = frozenset({"on", "remote_apply", "remote_write"})


def may_fail_over() -> bool:
    """Whether DATABASE_URL names several hosts, so that another server may take over."""
    return "," in str(connection.settings_dict.get("HOST") or "")


def waits_for_standby() -> bool:
    """Whether commits wait until a standby has them, so that a failover loses none. Raises the database's errors."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit')")
        names, commit = cursor.fetchone()
    return bool(names.strip()) and commit in _WAITS
