"""What LiveTok is told: the answer's shape, its context and both modes of its limits. Pure."""

import json
from dataclasses import replace

import pytest

from customers.limits import Limit, Metric, Period
from sessions_app.decision.answer import answer_of, as_bytes, limits_in_total, limits_left, own_context
from sessions_app.decision.rules import CallerKind, Facts, Reason, Usage, UsageRow, decide
from tests.builders import moment

RESETS_AT = moment("2024-03-16T00:00:00+01:00")


def row(metric: str, amount: int | None, period: str = "day", **fields) -> Limit:
    return Limit(Metric(metric), Period(period), amount, **fields)


def facts(*limits: Limit, used: dict | None = None, channel="telephony", agent="1", **fields) -> Facts:
    """A customer on telephony with agent 1, who has used `used` seconds in each period there and none elsewhere."""
    use = UsageRow("telephony", "1", call_seconds={Period(period): seconds for period, seconds in (used or {}).items()})
    fields = {"caller": CallerKind.CUSTOMER, **fields}
    return Facts(channel=channel, agent=agent, limits=limits, usage=Usage((use,)), **fields)


def left(each: Facts) -> dict[str, int]:
    return limits_left(decide(each), each)


def answer(each: Facts, *, what_is_left=False, **context) -> dict:
    return answer_of(
        decide(each), each, context=context, limits_are_what_is_left=what_is_left, message="Come back tomorrow."
    )


def test_the_answer_has_the_contracts_shape():
    each = facts(row("messages", 100), row("call_minutes", 60), used={"day": 600})

    assert answer(each, customer_tier="premium", custom_field="value") == {
        "allowed": True,
        "context": {"customer_tier": "premium", "custom_field": "value"},
        "limits": {"dailyMessageLimit": 100, "dailyCallMinutes": 60},
    }
    assert answer(each, what_is_left=True)["limits"] == {"dailyMessageLimit": 100, "dailyCallMinutes": 50}


def test_a_denial_says_why_and_has_the_same_limits():
    each = facts(row("messages", 100), row("call_minutes", 60), used={"day": 3600})

    assert answer(each, customer_tier="premium") == {
        "allowed": False,
        "context": {
            "customer_tier": "premium",
            "denied_limit_amount": 60,
            "denied_limit_used": 60,
            "denied_limit_left": 0,
            "denied_reason": "call_minutes_day",
            "denied_message": "Come back tomorrow.",
        },
        "limits": {"dailyMessageLimit": 100, "dailyCallMinutes": 60},
    }


def test_no_context_can_hide_why_a_session_is_denied():
    context = answer(facts(status="blocked"), denied_reason="none of your business", denied_message="")["context"]

    assert context == {"denied_reason": "customer_blocked", "denied_message": "Come back tomorrow."}


def test_an_admitted_session_is_told_no_reason():
    assert answer(facts())["context"] == {}


def test_the_answer_is_stored_as_short_bytes():
    content = as_bytes({"allowed": True, "context": {"name": "Ada Lovelace \U0001f600"}})

    assert content.isascii()
    assert b": " not in content
    assert json.loads(content)["context"]["name"] == "Ada Lovelace \U0001f600"


# The day's total


def test_the_days_total_is_the_smallest_hard_daily_amount_that_applies():
    assert limits_in_total(
        facts(
            row("messages", 100),
            row("messages", 50, channel="telephony"),
            row("messages", 1, channel="web"),
            row("messages", 2, hard=False),
            row("call_minutes", 60),
            row("call_minutes", 30, agent="1", origin="override"),
            row("call_minutes", 3, agent="2"),
            row("call_minutes", 4, hard=False),
            row("call_minutes", 5, "week"),
            row("call_minutes", 6, "month"),
            row("call_minutes", None, channel="telephony"),
            used={"day": 1200},
        )
    ) == {"dailyMessageLimit": 50, "dailyCallMinutes": 30}


def test_an_unlimited_amount_is_left_out():
    assert limits_in_total(facts()) == {}
    assert limits_in_total(facts(row("call_minutes", None), row("messages", 0))) == {"dailyMessageLimit": 0}
    assert left(facts(row("call_minutes", None), row("sessions", 1))) == {}


def test_both_are_sent_on_every_channel():
    each = facts(row("messages", 100), row("call_minutes", 60), channel="chat", counts_toward_call_minutes=False)

    assert limits_in_total(each) == left(each) == {"dailyMessageLimit": 100, "dailyCallMinutes": 60}


def test_without_a_caller_daily_amounts_are_still_sent():
    each = facts(row("messages", 100), row("call_minutes", 60), caller=CallerKind.UNNAMED)

    assert limits_in_total(each) == left(each) == {"dailyMessageLimit": 100, "dailyCallMinutes": 60}


# What is left


@pytest.mark.parametrize(
    ("used", "minutes"),
    [
        ({}, 60),
        ({"day": 60}, 59),
        ({"day": 61}, 58),
        ({"day": 59}, 59),
        ({"day": 0.5}, 59),
        ({"day": 3540}, 1),
        ({"day": 3541}, 1),
        ({"day": 3599.9}, 1),
        ({"week": 3000}, 50),
        ({"week": 3000, "day": 2400}, 20),
        ({"month": 59 * 60 + 30, "week": 600}, 1),
        ({"day": 3600}, 0),
        ({"day": 9999}, 0),
    ],
)
def test_what_is_left_is_the_smallest_left_of_day_week_and_month(used, minutes):
    """Rounded down, but at least 1 where the session is admitted, and 0 where not."""
    each = facts(
        row("call_minutes", 60),
        row("call_minutes", 100, "week"),
        row("call_minutes", 60, "month"),
        row("messages", 100),
        used=used,
    )

    assert left(each) == {"dailyMessageLimit": 100, "dailyCallMinutes": minutes}


def test_what_is_left_counts_scoped_rows_that_apply():
    each = facts(
        row("call_minutes", 60),
        row("call_minutes", 30, channel="telephony", agent="1"),
        row("call_minutes", 5, channel="web"),
        used={"day": 600},
    )

    assert left(each) == {"dailyCallMinutes": 20}


def test_what_is_left_of_a_row_for_one_channel_is_less_what_was_used_there():
    elsewhere = UsageRow("web", "1", call_seconds={Period.DAY: 600})
    each = facts(row("call_minutes", 30, channel="telephony"), row("call_minutes", 100))
    each = replace(each, usage=Usage((elsewhere,)))

    assert left(each) == {"dailyCallMinutes": 30}


def test_what_is_left_is_less_what_open_sessions_hold():
    held = UsageRow("telephony", "1", call_seconds={Period.DAY: 60}, held_seconds={Period.DAY: 90.5})
    each = replace(facts(row("call_minutes", 60)), usage=Usage((held,)))

    assert left(each) == {"dailyCallMinutes": 57}


def test_soft_rows_are_never_in_what_is_left():
    assert left(facts(row("call_minutes", 5, hard=False), row("messages", 5, hard=False))) == {}
    assert left(facts(row("call_minutes", 5, "week", hard=False), row("call_minutes", 60))) == {"dailyCallMinutes": 60}


def test_a_denied_session_has_nothing_left_whatever_the_reason():
    assert left(facts(row("call_minutes", 60), row("messages", 100), status="paused")) == {
        "dailyMessageLimit": 100,
        "dailyCallMinutes": 0,
    }


def test_a_session_let_in_by_the_emergency_switch_has_a_minute():
    assert left(facts(row("call_minutes", 60), used={"day": 7200}, emergency="allow_all")) == {"dailyCallMinutes": 1}


# What Frontdesk says of itself


def test_the_context_says_what_frontdesk_knows():
    each = facts(row("call_minutes", 60), row("call_minutes", 1, "week"), used={"day": 61})

    assert own_context(each, tier="premium", name="Ada", status="active", resets_at=RESETS_AT) == {
        "customer_tier": "premium",
        "customer_name": "Ada",
        "account_status": "active",
        "call_minutes_used_today": 2,
        "call_minutes_left_today": 58,
        "limits_reset_at": "2024-03-16T00:00:00+01:00",
    }


def test_what_is_not_known_is_left_out_of_the_context():
    assert own_context(facts(), tier=None, name="", status="unknown", resets_at=RESETS_AT) == {
        "account_status": "unknown",
        "call_minutes_used_today": 0,
        "limits_reset_at": "2024-03-16T00:00:00+01:00",
    }


@pytest.mark.parametrize(("seconds", "minutes"), [(3541, 0), (3600, 0), (9999, 0), (3540, 1)])
def test_the_contexts_left_is_what_is_left_rounded_down(seconds, minutes):
    each = facts(row("call_minutes", 60), used={"day": seconds})
    context = own_context(each, tier="premium", name="", status="active", resets_at=RESETS_AT)

    assert context["call_minutes_left_today"] == minutes


def test_of_a_caller_who_is_nobody_no_use_is_told():
    each = facts(row("call_minutes", 60), caller=CallerKind.UNNAMED)
    context = own_context(each, tier="standard", name="", status="unknown", resets_at=RESETS_AT)

    assert not {"call_minutes_used_today", "call_minutes_left_today"} & context.keys()


def test_soft_rows_are_never_in_the_contexts_left():
    each = facts(row("call_minutes", 5, hard=False), row("call_minutes", 60))
    context = own_context(each, tier="premium", name="", status="active", resets_at=RESETS_AT)

    assert context["call_minutes_left_today"] == 60


TODAY = {"call_minutes_used_today", "call_minutes_left_today", "limits_reset_at"}
NEXT = moment("2024-04-01T00:00:00+02:00")
OF_LIMIT = ["denied_limit_amount", "denied_limit_used", "denied_limit_left", "denied_limit_resets_at"]


@pytest.mark.parametrize(
    ("limits", "told", "tells_of_today"),
    [
        ([row("call_minutes", 60), row("call_minutes", 900, "month")], [60, 62, 0, "2024-04-01T00:00:00+02:00"], True),
        ([row("call_minutes", 100), row("call_minutes", 60, "week")], [60, 72, 0, "2024-04-01T00:00:00+02:00"], False),
        ([row("call_minutes", 100), row("call_minutes", 80, "month")], [80, 82, 0, "2024-04-01T00:00:00+02:00"], False),
        # By the rows of what they are for; a soft one denies nobody.
        ([row("call_minutes", 1, hard=False), row("sessions", 0, "month")], [0, 0, 0, NEXT.isoformat()], False),
        ([row("call_minutes", 60, "month", channel="telephony")], [60, 82, 0, "2024-04-01T00:00:00+02:00"], False),
        ([row("concurrent_sessions", 0, "")], [0, 0, 0], False),
    ],
)
def test_a_denial_by_a_limit_tells_of_that_limit_and_of_no_other(limits, told, tells_of_today):
    each = facts(*limits, used={"day": 62 * 60 - 1, "week": 72 * 60, "month": 82 * 60 - 59})
    decision = decide(each)
    denied_by = decision.decisive.limit
    own = own_context(each, tier="premium", name="", status="active", resets_at=RESETS_AT, denied_by=denied_by)
    until = NEXT if denied_by.period else None
    context = answer_of(
        decision,
        each,
        context=own | {"denied_limit_left": "hidden"},
        limits_are_what_is_left=False,
        message="",
        denied_until=until,
    )["context"]

    assert [context[key] for key in OF_LIMIT if key in context] == told
    assert TODAY & context.keys() == (TODAY if tells_of_today else set())
    assert context["denied_reason"] == decision.reason


@pytest.mark.parametrize("changes", [{"status": "paused"}, {"emergency": "deny_all"}, {}])
def test_where_no_limit_denies_none_is_told_of(changes):
    each = facts(row("call_minutes", 60), **changes)

    assert not set(OF_LIMIT) & answer(each)["context"].keys()


def test_the_reason_of_a_denial_is_the_decisions():
    each = facts(row("sessions", 0))

    assert answer(each)["context"]["denied_reason"] == decide(each).reason == Reason.SESSIONS_DAY
