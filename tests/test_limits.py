"""Limits as values: overrides, scopes, the smallest amount; and the constraints that keep the rows apart."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from customers.access import limits_of
from customers.editing import check_overrides, check_period
from customers.limits import Limit, Metric, Period, effective_limits, smallest_amount
from customers.models import LimitOverride, TierLimit
from customers.origins import remaining_words
from customers.validity import Validity, valid_sql
from tests.builders import limit, make_customer, make_override, make_tier, moment

NOW = moment("2024-03-15T10:30:00Z")
LATER = NOW + timedelta(days=1)


def row(metric: str, amount: int | None, period: str = "day", **fields) -> Limit:
    return Limit(Metric(metric), Period(period), amount, **fields)


def override(metric: str, amount: int | None, period: str = "day", **fields) -> Limit:
    return row(metric, amount, period, origin="override", **fields)


def test_an_override_replaces_the_tiers_row_of_exactly_its_metric_period_channel_and_agent():
    tier = [
        row("call_minutes", 60),
        row("call_minutes", 300, "week"),
        row("call_minutes", 30, channel="telephony"),
        row("call_minutes", 20, agent="1"),
        row("call_minutes", 10, channel="telephony", agent="1"),
        row("sessions", 5),
    ]
    for index, replaced in enumerate(tier):
        mine = override(
            replaced.metric.value, 999, replaced.period.value, channel=replaced.channel, agent=replaced.agent
        )
        effective = effective_limits(tier, [mine])

        assert mine in effective
        assert set(effective) == {*tier[:index], *tier[index + 1 :], mine}


def test_an_override_replaces_hardness_too():
    assert effective_limits([row("sessions", 5)], [override("sessions", 5, hard=False)])[0].hard is False
    assert effective_limits([row("sessions", 5, hard=False)], [override("sessions", 5)])[0].hard is True


def test_an_override_without_a_tiers_row_adds_a_limit():
    assert effective_limits([], [override("sessions", 5)]) == (override("sessions", 5),)


def test_an_override_without_an_amount_lifts_the_tiers_limit():
    effective = effective_limits([row("sessions", 5)], [override("sessions", None)])

    assert smallest_amount(effective, Metric.SESSIONS, Period.DAY) is None


def test_effective_limits_stand_in_a_stable_order():
    limits = [
        row("concurrent_sessions", 1, ""),
        row("sessions", 1, "month"),
        row("sessions", 1, "day", channel="web"),
        row("sessions", 1, "day", agent="2"),
        row("sessions", 1, "day"),
        row("call_minutes", 1, "week"),
        row("messages", 1),
    ]

    assert effective_limits(limits, []) == effective_limits(limits[::-1], [])
    assert [str(each) for each in effective_limits(limits, [])] == [
        "1 message a day",
        "1 call minute a week",
        "1 session a day",
        "1 session a day with agent 2",
        "1 session a day on web",
        "1 session a month",
        "1 concurrent session",
    ]


def test_a_limit_in_words():
    assert str(override("call_minutes", None, channel="telephony", hard=False)) == (
        "unlimited call minutes a day on telephony (soft)"
    )


def test_the_smallest_amount_is_of_hard_rows_of_the_metric_and_period():
    limits = [
        row("call_minutes", 60),
        row("call_minutes", 30, channel="telephony"),
        row("call_minutes", 5, hard=False),
        row("call_minutes", 1, "week"),
        row("messages", 2),
        override("call_minutes", None, agent="1"),
    ]

    assert smallest_amount(limits, Metric.CALL_MINUTES, Period.DAY) == 30
    assert smallest_amount(limits, Metric.CALL_MINUTES, Period.MONTH) is None
    assert smallest_amount([row("messages", 0), row("messages", 5, agent="1")], Metric.MESSAGES, Period.DAY) == 0


@pytest.mark.parametrize(
    ("validity", "is_valid"),
    [
        ({}, True),
        ({"valid_from": NOW}, True),
        ({"valid_from": NOW + timedelta(microseconds=1)}, False),
        ({"valid_until": NOW}, False),
        ({"valid_until": NOW + timedelta(microseconds=1)}, True),
        ({"valid_from": NOW - timedelta(days=1), "valid_until": LATER}, True),
        ({"valid_from": LATER, "valid_until": LATER + timedelta(days=1)}, False),
    ],
)
def test_blank_from_is_since_ever_blank_until_for_ever_and_until_is_exclusive(db, validity, is_valid):
    tier = make_tier("premium", limit("sessions", 5))
    customer = make_customer(tier)
    mine = make_override(customer, limit("sessions", 9), **validity)

    assert [each.amount for each in limits_of(tier, customer, NOW)] == [9 if is_valid else 5]
    assert mine.is_valid_at(NOW) is is_valid
    sql = f"SELECT own.id FROM {LimitOverride._meta.db_table} own WHERE {valid_sql('own')}"
    found = LimitOverride.objects.raw(sql, {"now": connection.ops.adapt_datetimefield_value(NOW)})
    assert list(found) == [mine] * is_valid


@pytest.mark.parametrize(
    ("one", "other", "is_overlap"),
    [
        ((None, None), (None, None), True),
        ((None, NOW), (NOW, None), False),
        ((None, LATER), (NOW, None), True),
        ((NOW, None), (LATER, None), True),
        ((None, NOW), (None, LATER), True),
        ((NOW, LATER), (NOW, LATER), True),
        ((NOW, LATER), (LATER, None), False),
    ],
)
def test_two_validities_overlap_where_some_moment_is_in_both(one, other, is_overlap):
    assert Validity(*one).overlaps(Validity(*other)) is is_overlap
    assert Validity(*other).overlaps(Validity(*one)) is is_overlap


def test_another_customers_override_does_not_hold(db):
    tier = make_tier("premium", limit("sessions", 5))
    customer, other = make_customer(tier), make_customer(tier, "+4915112345678")
    make_override(other, limit("sessions", 9))

    assert [each.amount for each in limits_of(tier, customer, NOW)] == [5]
    assert [each.amount for each in limits_of(tier, None, NOW)] == [5]


def test_limits_carry_their_scope_hardness_and_origin(db):
    tier = make_tier("premium", limit("sessions", 5, channel="telephony", agent="1", hard=False))
    customer = make_customer(tier)
    make_override(customer, limit("call_minutes", None, "month", channel="web", agent="2"))

    assert limits_of(tier, customer, NOW) == (
        override("call_minutes", None, "month", channel="web", agent="2"),
        row("sessions", 5, channel="telephony", agent="1", hard=False),
    )


def test_two_overrides_of_one_key_may_follow_each_other_but_not_overlap(db):
    customer = make_customer()
    make_override(customer, limit("sessions", 9), valid_until=NOW)
    make_override(customer, limit("sessions", 8), valid_from=NOW)
    make_override(customer, limit("sessions", 7, channel="telephony"))
    check_overrides(customer)

    make_override(customer, limit("sessions", 6), valid_from=LATER)
    with pytest.raises(ValidationError, match="Two overrides would hold at the same time"):
        check_overrides(customer)


@pytest.mark.parametrize(
    "scope", [{}, {"channel": "telephony"}, {"agent": "1"}, {"channel": "telephony", "agent": "1"}]
)
def test_a_blank_channel_and_agent_are_values_when_rows_are_told_apart(db, scope):
    tier = make_tier("premium", limit("sessions", 5, **scope))
    made = TierLimit.objects.get(tier=tier)

    with pytest.raises(IntegrityError), transaction.atomic():
        TierLimit.objects.create(
            tier=tier, metric="sessions", period="day", amount=6, channel=made.channel, agent=made.agent
        )
    TierLimit.objects.create(tier=tier, metric="sessions", period="week", amount=6, channel=made.channel)


FITTING = {
    *(("call_minutes", "day"), ("call_minutes", "week"), ("call_minutes", "month")),
    *(("sessions", "day"), ("sessions", "week"), ("sessions", "month")),
    *(("messages", "day"), ("concurrent_sessions", "")),
}


@pytest.mark.parametrize("period", list(Period))
@pytest.mark.parametrize("metric", list(Metric))
def test_a_metric_is_counted_only_in_its_own_periods(db, metric, period):
    if (metric, period) in FITTING:
        check_period(metric, period)
        make_tier("even", limit(metric, 1, period))
    else:
        with pytest.raises(ValidationError, match="call minutes and sessions per day, week or month"):
            check_period(metric, period)
        with pytest.raises(IntegrityError), transaction.atomic():
            make_tier("odd", limit(metric, 1, period))


def test_an_open_session_holds_something(db):
    with pytest.raises(IntegrityError), transaction.atomic():
        make_tier("odd", call_hold_minutes=0)


@pytest.mark.parametrize(
    ("other", "lifted", "words"),
    [
        (row("call_minutes", 60, channel="web"), {}, "60 on web, from tier Gold"),
        (row("call_minutes", 60), {"channel": "web"}, "60 on all channels, from tier Gold"),
        (row("call_minutes", 60, agent="1"), {}, "60 with agent 1, from tier Gold"),
        (row("call_minutes", 60, "month"), {"agent": "1"}, "60 a month with all agents, from tier Gold"),
        (override("call_minutes", 9, "week", hard=False), {}, "9 a week (soft), from another override"),
    ],
)
def test_what_binds_beside_an_override_is_said_in_words(other, lifted, words):
    assert remaining_words(other, override("call_minutes", None, **lifted), "Gold") == f"also in force: {words}"
