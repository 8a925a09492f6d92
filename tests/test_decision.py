"""The decision: a table on the pure function. What surrounds it is tested in `test_policy` and `test_usage`."""

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.limits import Limit, Metric, Period, effective_limits
from sessions_app.decision.rules import DENIAL_MESSAGES, CallerKind, Facts, Reason, Usage, UsageRow, decide, whole_check

pytestmark = pytest.mark.pure

DAY, WEEK, MONTH = Period.DAY, Period.WEEK, Period.MONTH


def limit(metric: str, amount: int | None, period: str = "", **fields) -> Limit:
    return Limit(Metric(metric), Period(period), amount, **fields)


def facts(**changes) -> Facts:
    """An active customer without limits, on telephony with agent 1."""
    return replace(Facts(caller=CallerKind.CUSTOMER, channel="telephony", agent="1"), **changes)


def used(
    channel: str | None = "telephony", agent: str | None = "1", *, sessions=0, seconds=0, held=0.0, open_sessions=0
) -> UsageRow:
    """The same use in the day, the week and the month."""
    return UsageRow(
        channel=channel,
        agent=agent,
        sessions=dict.fromkeys((DAY, WEEK, MONTH), sessions),
        call_seconds=dict.fromkeys((DAY, WEEK, MONTH), seconds),
        held_seconds=dict.fromkeys((DAY, WEEK, MONTH), held),
        open_sessions=open_sessions,
    )


def usage(*rows: UsageRow) -> Usage:
    return Usage(rows)


# What makes each rule fail, in the order of the rules.
FAILING = {
    Reason.EMERGENCY_DENY: {"emergency": "deny_all"},
    Reason.CUSTOMER_BLOCKED: {"status": "blocked"},
    Reason.CUSTOMER_NOT_YET_VALID: {"is_not_yet_valid": True},
    Reason.CUSTOMER_EXPIRED: {"has_expired": True},
    Reason.CHANNEL_NOT_ALLOWED: {"allowed_channels": frozenset({"web"})},
}
NO_MORE = {
    Reason.CONCURRENT_SESSIONS: limit("concurrent_sessions", 0),
    Reason.SESSIONS_DAY: limit("sessions", 0, "day"),
    Reason.SESSIONS_WEEK: limit("sessions", 0, "week"),
    Reason.SESSIONS_MONTH: limit("sessions", 0, "month"),
    Reason.CALL_MINUTES_DAY: limit("call_minutes", 0, "day"),
    Reason.CALL_MINUTES_WEEK: limit("call_minutes", 0, "week"),
    Reason.CALL_MINUTES_MONTH: limit("call_minutes", 0, "month"),
}
RULES = [*FAILING, *NO_MORE]


def failing(*reasons: Reason) -> Facts:
    changes: dict = {}
    for reason in reasons:
        changes |= FAILING.get(reason, {})
    limits = effective_limits([NO_MORE[reason] for reason in reasons if reason in NO_MORE], [])
    return facts(**changes, limits=limits)


def test_the_codes_are_these_and_stay_so():
    assert " ".join(reason.value for reason in Reason) == (
        "allowed emergency_allow emergency_deny unknown_caller no_number customer_blocked customer_paused "
        "customer_not_yet_valid customer_expired channel_not_allowed concurrent_sessions sessions_day sessions_week "
        "sessions_month call_minutes_day call_minutes_week call_minutes_month fallback_allow "
        "fallback_deny"
    )


def test_every_denial_has_a_sentence():
    assert set(DENIAL_MESSAGES) == {reason for reason in Reason if not reason.admits}
    assert all(sentence.endswith(".") for sentence in DENIAL_MESSAGES.values())


def test_a_customer_without_limits_is_allowed():
    decision = decide(facts())

    assert (decision.reason, decision.allowed, decision.would_deny) == (Reason.ALLOWED, True, ())


@pytest.mark.parametrize("reason", RULES)
def test_each_rule_denies_with_its_own_reason(reason):
    decision = decide(failing(reason))

    assert (decision.reason, decision.allowed) == (reason, False)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(RULES, 2)))
def test_the_first_rule_that_fails_is_the_reason(first, second):
    assert decide(failing(second, first)).reason is first


def test_a_paused_customer_is_denied_before_validity_and_after_being_known():
    paused = facts(status="paused", is_not_yet_valid=True, has_expired=True)

    assert decide(paused).reason is Reason.CUSTOMER_PAUSED
    assert decide(replace(paused, emergency="deny_all")).reason is Reason.EMERGENCY_DENY


@pytest.mark.parametrize(
    ("caller", "reason"), [(CallerKind.UNKNOWN, Reason.UNKNOWN_CALLER), (CallerKind.UNNAMED, Reason.NO_NUMBER)]
)
def test_the_policy_decides_about_callers_who_are_no_customers(caller, reason):
    served = facts(caller=caller)
    denied = replace(served, policy_serves=False)

    assert decide(served).reason is Reason.ALLOWED
    assert decide(denied).reason is reason
    assert decide(replace(denied, emergency="deny_all")).reason is Reason.EMERGENCY_DENY
    assert decide(replace(denied, allowed_channels=frozenset({"web"}))).reason is reason
    assert decide(replace(served, allowed_channels=frozenset({"web"}))).reason is Reason.CHANNEL_NOT_ALLOWED


def test_a_customers_status_means_nothing_for_a_caller_who_is_none():
    assert decide(facts(caller=CallerKind.UNKNOWN, status="paused", has_expired=True)).allowed


@pytest.mark.parametrize("reason", [reason for reason in RULES if "BLOCKED" not in reason.name][1:])
def test_emergency_allow_all_overrides_every_rule(reason):
    decision = decide(replace(failing(reason), emergency="allow_all"))

    assert (decision.reason, decision.allowed) == (Reason.EMERGENCY_ALLOW, True)
    assert [check.reason for check in decision.checks if check.passed is False] == [reason]


def test_emergency_allow_all_says_so_even_where_nothing_had_to_be_overridden():
    assert decide(facts(emergency="allow_all")).reason is Reason.EMERGENCY_ALLOW


@pytest.mark.parametrize("caller", [CallerKind.UNKNOWN, CallerKind.UNNAMED])
def test_emergency_allow_all_lets_in_whom_the_policy_denies(caller):
    decision = decide(facts(caller=caller, policy_serves=False, emergency="allow_all"))

    assert decision.reason is Reason.EMERGENCY_ALLOW


def test_emergency_allow_all_does_not_let_in_a_blocked_customer():
    assert decide(facts(status="blocked", emergency="allow_all")).reason is Reason.CUSTOMER_BLOCKED


def test_emergency_deny_all_overrides_everything():
    assert decide(facts(emergency="deny_all")).reason is Reason.EMERGENCY_DENY
    assert decide(facts(status="blocked", emergency="deny_all")).reason is Reason.EMERGENCY_DENY


@pytest.mark.parametrize(
    ("allowed_channels", "channel", "is_allowed"),
    [
        ((), "telephony", True),
        ((), None, True),
        (("telephony", "web"), "telephony", True),
        (("web",), "telephony", False),
        (("web",), None, False),
    ],
)
def test_no_channel_chosen_allows_all(allowed_channels, channel, is_allowed):
    assert decide(facts(allowed_channels=frozenset(allowed_channels), channel=channel)).allowed is is_allowed


@pytest.mark.parametrize(
    ("metric", "period", "row", "amount"),
    [
        ("concurrent_sessions", "", used(open_sessions=2), 2),
        ("sessions", "day", used(sessions=5), 5),
        ("sessions", "week", used(sessions=5), 5),
        ("sessions", "month", used(sessions=5), 5),
        ("call_minutes", "day", used(seconds=180), 3),
        ("call_minutes", "week", used(held=180.0), 3),
        ("call_minutes", "month", used(seconds=60, held=120.0), 3),
    ],
)
def test_what_is_used_up_denies_and_one_more_admits(metric, period, row, amount):
    assert not decide(facts(limits=(limit(metric, amount, period),), usage=usage(row))).allowed
    assert not decide(facts(limits=(limit(metric, amount - 1, period),), usage=usage(row))).allowed
    assert decide(facts(limits=(limit(metric, amount + 1, period),), usage=usage(row))).allowed


def test_where_nothing_was_counted_nothing_is_used():
    nothing = UsageRow("telephony", "1")
    limits = tuple(NO_MORE.values())

    for rows in ((), (nothing,)):
        checks = decide(facts(limits=limits, usage=usage(*rows))).checks
        assert [check.used for check in checks if check.limit] == [0] * len(limits)
        assert usage(*rows).held_seconds(DAY) == 0
    assert usage(used(held=5.5), used("web", held=1)).held_seconds(DAY, "telephony") == 5.5


def test_a_whole_hold_need_not_be_left():
    assert decide(facts(limits=(limit("call_minutes", 1, "day"),), usage=usage(used(seconds=59)))).allowed
    assert decide(facts(limits=(limit("call_minutes", 1, "day"),), usage=usage(used(held=59.999)))).allowed
    assert not decide(facts(limits=(limit("call_minutes", 1, "day"),), usage=usage(used(held=60.0)))).allowed


def test_each_period_is_judged_by_its_own_use():
    row = UsageRow("telephony", "1", sessions={DAY: 1, WEEK: 3, MONTH: 9}, call_seconds={DAY: 60, MONTH: 600})

    def reason_of(*limits: Limit) -> Reason:
        return decide(facts(limits=limits, usage=usage(row))).reason

    assert reason_of(limit("sessions", 2, "day"), limit("sessions", 4, "week")) is Reason.ALLOWED
    assert reason_of(limit("sessions", 2, "day"), limit("sessions", 3, "week")) is Reason.SESSIONS_WEEK
    assert reason_of(limit("sessions", 9, "month")) is Reason.SESSIONS_MONTH
    assert reason_of(limit("call_minutes", 2, "day"), limit("call_minutes", 1, "week")) is Reason.ALLOWED
    assert reason_of(limit("call_minutes", 10, "month")) is Reason.CALL_MINUTES_MONTH


@pytest.mark.parametrize(
    ("scope", "expected_sessions"),
    [
        ({}, 15),
        ({"channel": "telephony"}, 3),
        ({"agent": "1"}, 5),
        ({"channel": "telephony", "agent": "1"}, 1),
    ],
)
def test_a_row_counts_only_what_its_channel_and_agent_used(scope, expected_sessions):
    """Rows apply by channel and agent."""
    rows = usage(
        used("telephony", "1", sessions=1, seconds=60, held=60.0, open_sessions=1),
        used("telephony", "2", sessions=2, seconds=120, held=120.0, open_sessions=2),
        used("web", "1", sessions=4, seconds=240, held=240.0, open_sessions=4),
        used(None, None, sessions=8, seconds=480, held=480.0, open_sessions=8),
    )
    limits = (
        limit("concurrent_sessions", 100, **scope),
        limit("sessions", 100, "day", **scope),
        limit("call_minutes", 100, "day", **scope),
    )

    checks = [check for check in decide(facts(limits=limits, usage=rows)).checks if check.limit]

    assert [check.used for check in checks] == [expected_sessions, expected_sessions, 2 * expected_sessions]
    assert [whole_check(check.as_json())["left"] for check in checks] == [100 - check.used for check in checks]


@pytest.mark.parametrize(
    ("scope", "applies"),
    [
        ({"channel": "telephony"}, True),
        ({"channel": "web"}, False),
        ({"agent": "1"}, True),
        ({"agent": "2"}, False),
        ({"channel": "telephony", "agent": "2"}, False),
        ({"channel": "web", "agent": "1"}, False),
    ],
)
def test_a_row_for_another_channel_or_agent_does_not_apply(scope, applies):
    decision = decide(facts(limits=(limit("sessions", 0, "day", **scope),)))

    assert decision.allowed is not applies
    assert len([check for check in decision.checks if check.limit]) == applies


def test_a_row_for_a_channel_does_not_apply_to_a_session_without_one():
    limits = (limit("sessions", 0, "day", channel="telephony"), limit("sessions", 0, "day", agent="1"))

    assert decide(facts(channel=None, agent=None, limits=limits)).allowed


def test_call_minutes_are_judged_only_on_channels_that_count_toward_them():
    limits = (limit("call_minutes", 0, "day"), limit("sessions", 1, "day"))
    decision = decide(facts(limits=limits, counts_toward_call_minutes=False))

    assert decision.allowed
    check = next(check for check in decision.checks if check.reason is Reason.CALL_MINUTES_DAY)
    assert check.passed is None
    assert "does not count" in check.note
    assert not decide(facts(limits=(limit("sessions", 0, "day"),), counts_toward_call_minutes=False)).allowed


def test_limits_per_caller_do_not_apply_to_nobody_and_the_trace_says_so():
    decision = decide(facts(caller=CallerKind.UNNAMED, limits=tuple(NO_MORE.values())))

    assert decision.allowed
    checks = [check for check in decision.checks if check.limit]
    assert len(checks) == len(NO_MORE)
    assert all(check.passed is None and "do not apply" in check.note for check in checks)


def test_messages_are_never_judged():
    assert decide(facts(limits=(limit("messages", 0, "day"),))).allowed


def test_an_unlimited_override_is_in_the_trace_and_denies_nobody():
    unlimited = limit("call_minutes", None, "day", origin="override")
    decision = decide(facts(limits=(unlimited,), usage=usage(used(seconds=10**6))))

    assert decision.allowed
    entry = whole_check(decision.checks[-1].as_json())
    assert (entry["passed"], entry["note"], entry["origin"]) == (None, "unlimited", "override")
    assert (entry["limit"], entry["left"]) == (None, None)


def test_a_soft_row_denies_nobody_and_is_kept_as_would_deny():
    soft = (
        limit("call_minutes", 1, "day", hard=False),
        limit("call_minutes", 1, "day", hard=False, channel="telephony"),
        limit("sessions", 1, "day", hard=False),
        limit("sessions", 99, "week", hard=False),
    )
    decision = decide(facts(limits=soft, usage=usage(used(sessions=1, seconds=60))))

    assert (decision.reason, decision.allowed) == (Reason.ALLOWED, True)
    assert decision.would_deny == (Reason.SESSIONS_DAY, Reason.CALL_MINUTES_DAY)


def test_a_hard_row_denies_beside_a_soft_one():
    limits = (limit("sessions", 0, "day", hard=False), limit("call_minutes", 0, "month"))
    decision = decide(facts(limits=limits))

    assert (decision.reason, decision.would_deny) == (Reason.CALL_MINUTES_MONTH, (Reason.SESSIONS_DAY,))


def test_every_check_is_judged_and_kept_also_after_the_first_that_fails():
    limits = tuple(NO_MORE.values())
    decision = decide(
        facts(
            emergency="deny_all",
            status="blocked",
            is_not_yet_valid=True,
            has_expired=True,
            allowed_channels=frozenset({"web"}),
            limits=limits,
        )
    )

    assert [check.reason.value for check in decision.checks] == [
        "emergency_deny",
        "unknown_caller",
        "customer_blocked",
        "customer_paused",
        "customer_not_yet_valid",
        "customer_expired",
        "channel_not_allowed",
        *(reason.value for reason in NO_MORE),
    ]
    failed = [check.reason for check in decision.checks if check.passed is False]
    assert failed == RULES


def test_the_trace_keeps_limit_origin_used_and_left():
    row = limit("call_minutes", 3, "week", channel="telephony", agent="1", origin="override", hard=False)
    decision = decide(facts(limits=(row,), usage=usage(used(seconds=90, held=10.0))))

    stored = json.loads(json.dumps(decision.checks[-1].as_json()))
    assert whole_check(stored) == {
        "check": "call_minutes_week",
        "passed": True,
        "note": "",
        "metric": "call_minutes",
        "period": "week",
        "channel": "telephony",
        "agent": "1",
        "hard": False,
        "origin": "override",
        "limit": 3,
        "used": 1.6667,
        "left": 1.3333,
    }


def test_a_stored_check_leaves_out_what_is_usual_and_what_follows():
    decision = decide(facts(limits=(limit("sessions", 2, "day"),), usage=usage(used(sessions=1))))

    assert decision.checks[-1].as_json() == {"check": "sessions_day", "limit": 2, "used": 1}
    assert decision.checks[4].as_json() == {"check": "customer_not_yet_valid"}


@given(
    row=st.builds(
        Limit,
        metric=st.sampled_from([Metric.SESSIONS, Metric.CALL_MINUTES]),
        period=st.sampled_from([DAY, WEEK, MONTH]),
        amount=st.none() | st.integers(0, 100),
        channel=st.sampled_from([None, "telephony"]),
        agent=st.sampled_from([None, "1"]),
        hard=st.booleans(),
        origin=st.sampled_from(["tier", "override"]),
    ),
    sessions=st.integers(0, 200),
    seconds=st.integers(0, 12_000),
    caller=st.sampled_from(list(CallerKind)),
)
def test_nothing_is_lost_by_what_a_stored_check_leaves_out(row, sessions, seconds, caller):
    decision = decide(facts(caller=caller, limits=(row,), usage=usage(used(sessions=sessions, seconds=seconds))))

    for check in decision.checks:
        whole = whole_check(json.loads(json.dumps(check.as_json())))
        assert (whole["check"], whole["passed"], whole["note"]) == (check.reason, check.passed, check.note)
    assert {name: whole[name] for name in vars(row) if name in whole} == {
        name: value for name, value in vars(row).items() if name not in ("amount", "agent_name")
    }
    assert whole["limit"] == row.amount
    assert whole["used"] == (None if check.used is None else pytest.approx(check.used, abs=0.0001))
    expected = None if check.used is None or row.amount is None else max(0, row.amount - check.used)
    assert whole["left"] == (None if expected is None else pytest.approx(expected, abs=0.0001))


def test_a_check_that_was_stored_with_all_of_it_is_shown_as_it_is():
    stored = {"check": "sessions_day", "passed": False, "note": "", "metric": "sessions", "period": "day"}
    stored |= {"channel": None, "agent": None, "hard": False, "origin": "override", "limit": 1, "used": 1, "left": 0}

    assert whole_check(stored) == stored


def test_nothing_is_left_where_more_was_used_than_the_limit_says():
    decision = decide(facts(limits=(limit("sessions", 2, "day"),), usage=usage(used(sessions=5))))

    entry = whole_check(decision.checks[-1].as_json())
    assert json.dumps([entry["limit"], entry["used"], entry["left"]]) == "[2, 5, 0]"


def test_a_check_of_no_limit_has_a_note_that_a_person_can_read():
    notes = [
        check.note for check in decide(facts(allowed_channels=frozenset({"web", "telephony"}))).checks if check.note
    ]

    assert notes == ["off", "a customer", "status active", "status active", "telephony; allowed: telephony, web"]
