"""Whether commits wait for a standby, so that a failover loses nothing that was acknowledged; and whether in vain."""

from django.db import connection

# A standby that is there confirms within milliseconds.
LONG_SECONDS = 3.0
# What commits wait for: "local" and "off" let them go before a standby has them.
_WAITS = frozenset({"on", "remote_apply", "remote_write"})
_IN_VAIN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'SyncRep'
        AND clock_timestamp() - state_change > make_interval(secs => %s)
"""


def may_fail_over() -> bool:
    """Whether DATABASE_URL names several hosts, so that another server may take over."""
    return "," in str(connection.settings_dict.get("HOST") or "")


def waits_for_standby() -> bool:
    """Whether commits wait until a standby has them, so that a failover loses none. Raises the database's errors."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit')")
        names, commit = cursor.fetchone()
    return bool(names.strip()) and commit in _WAITS


def commits_in_vain() -> int:
    """How many commits of this database have waited for a standby for LONG_SECONDS. Raises the database's errors."""
    with connection.cursor() as cursor:
        cursor.execute(_IN_VAIN, [LONG_SECONDS])
        count: int = cursor.fetchone()[0]
    return count
