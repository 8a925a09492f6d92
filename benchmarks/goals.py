"""What is aimed at, and the lines that say whether it was reached. Pure."""

from collections.abc import Callable
from operator import ge, le
from typing import NamedTuple


class Goal(NamedTuple):
    target: float
    holds: Callable[[float, float], bool]


AT_LEAST, AT_MOST = ge, le
NONE = Goal(0.0, AT_MOST)
# Those who come beside LiveTok, each alone.
STRANGERS = ("guessers", "readers", "downloads", "import", "slow_bodies", "idle", "knockers")
GOALS = {
    "of_floor": Goal(0.25, AT_LEAST),
    "of_straight": Goal(3.0, AT_LEAST),
    "database_cpu_of_floor": Goal(2.5, AT_MOST),
    "wal_bytes_per_session": Goal(3_000.0, AT_MOST),
    "stored_bytes_per_session": Goal(2_200.0, AT_MOST),
    "p99_of_median": Goal(10.0, AT_MOST),
    "web_process_mb": Goal(160.0, AT_MOST),
    "web_process_growth_mb": Goal(10.0, AT_MOST),
    "replayed_a_second": Goal(20_000.0, AT_LEAST),
    "flat_with_many_sessions": Goal(1.25, AT_MOST),
    "flat_for_a_busy_customer": Goal(1.25, AT_MOST),
    "torture_acknowledged": Goal(1000.0, AT_LEAST),
    "torture_lost": NONE,
    "torture_twice": NONE,
    "torture_answers_changed": NONE,
    "torture_not_logged": NONE,
    "torture_logged_too_often": NONE,
    "torture_not_arrived": NONE,
    "torture_of_nothing": NONE,
    "torture_of_other_keys": NONE,
    "torture_of_other_bytes": NONE,
    "torture_answered_otherwise": NONE,
    "torture_unexpected_statuses": NONE,
    "torture_unsound": NONE,
    "outage_acknowledged": Goal(1000.0, AT_LEAST),
    "outage_first_begin_ms": Goal(1000.0, AT_MOST),
    "outage_later_begin_ms": Goal(50.0, AT_MOST),
    "outage_not_answered": NONE,
    "outage_missing": NONE,
    "outage_unsound": NONE,
    "failover_acknowledged": Goal(1000.0, AT_LEAST),
    "failover_waiting_begin_ms": Goal(1000.0, AT_MOST),
    "failover_leaderless_begin_ms": Goal(1000.0, AT_MOST),
    "failover_not_answered": NONE,
    "failover_lost": NONE,
    "failover_twice": NONE,
    "failover_answers_changed": NONE,
    "failover_not_logged": NONE,
    "failover_logged_too_often": NONE,
    "failover_answered_otherwise": NONE,
    "failover_unexpected_statuses": NONE,
    "failover_unsound": NONE,
    "fleet_acknowledged": Goal(1000.0, AT_LEAST),
    "fleet_given_up": NONE,
    "fleet_lost": NONE,
    "fleet_twice": NONE,
    "fleet_answers_changed": NONE,
    "fleet_not_logged": NONE,
    "fleet_logged_too_often": NONE,
    "fleet_answered_otherwise": NONE,
    "fleet_unexpected_statuses": NONE,
    "fleet_set_aside": NONE,
    "fleet_unsound": NONE,
    "replica_paused_unsaid": NONE,
    "replica_paused_of_primary": Goal(1.0, AT_LEAST),
    "replica_paused_slowest_ms": Goal(1000.0, AT_MOST),
    "replica_frozen_unsaid": NONE,
    "replica_frozen_of_primary": Goal(1.0, AT_LEAST),
    "replica_frozen_slowest_ms": Goal(10_000.0, AT_MOST),
    "replica_file_lines_missing": NONE,
    "busy_begins": Goal(1000.0, AT_LEAST),
    "busy_not_answered": NONE,
    "busy_not_judged": NONE,
    "busy_p99_begin_ms": Goal(300.0, AT_MOST),
    "busy_slowest_begin_ms": Goal(1000.0, AT_MOST),
    "busy_unsound": NONE,
    "soak_errors": NONE,
    "soak_old_events_left": NONE,
    "soak_growth_mb": Goal(10.0, AT_MOST),
    "soak_growth_files": NONE,
    "soak_growth_connections": NONE,
    "deliveries_thousand_s": Goal(20.0, AT_MOST),
    "deliveries_p95_beside_one_hanging_s": Goal(2.0, AT_MOST),
    "deliveries_p95_beside_ten_hanging_s": Goal(2.0, AT_MOST),
    "rules_none_of_before": Goal(1.02, AT_MOST),
    "rules_twenty_of_none": Goal(1.1, AT_MOST),
    "reports_home_ms": Goal(100.0, AT_MOST),
    "reports_overview_ms": Goal(150.0, AT_MOST),
    "reports_overview_of_few": Goal(1.5, AT_MOST),
    "reports_callers_ms": Goal(2000.0, AT_MOST),
    "reports_first_page_ms": Goal(100.0, AT_MOST),
    "reports_10000th_page_ms": Goal(100.0, AT_MOST),
    "reports_slowest_search_ms": Goal(100.0, AT_MOST),
    "search_slowest_p95_ms": Goal(100.0, AT_MOST),
    "reports_by_duration_ms": Goal(100.0, AT_MOST),
    "reports_by_customer_ms": Goal(100.0, AT_MOST),
    "reports_customer_ms": Goal(50.0, AT_MOST),
    "reports_first_byte_s": Goal(1.0, AT_MOST),
    "reports_export_mb": Goal(60.0, AT_MOST),
    "reports_rows_per_s": Goal(25_000.0, AT_LEAST),
} | {
    f"room_{kind}_{what}": goal
    for kind in STRANGERS
    for what, goal in {"failed": NONE, "p99_of_quiet": Goal(4.0, AT_MOST)}.items()
}
# Of the ratio to the straight version that was measured before.
MAY_FALL_TO = 0.75


def goal_line(database: str, name: str, value: float) -> str:
    """`goal NAME VALUE TARGET ok`, or `short` where it was missed."""
    target, holds = GOALS[name]
    verdict = "ok" if holds(value, target) else "short"
    return f"goal {database}_{name} {value:.3g} {target:g} {verdict}"


def short_line(database: str, ratio: float, expected: float) -> str:
    """The same for the ratio to the straight version, which must not fall by a quarter below what it was."""
    lowest = expected * MAY_FALL_TO
    return f"goal {database}_of_straight {ratio:.3g} {lowest:.3g} {'ok' if ratio >= lowest else 'short'}"
