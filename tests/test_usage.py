"""Limits and usage: what sessions use, in which period, what open ones hold, and what is stored for recounts."""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from customers.models import Channel, Customer, PhoneNumber, Tier
from sessions_app.decision.rules import whole_check
from sessions_app.models import DailyUsage, Session
from sessions_app.usage.recount import differences
from sessions_app.usage.used import usage_at
from tests.builders import (
    NUMBER,
    LiveTok,
    assert_usage_is_sound,
    limit,
    make_customer,
    make_override,
    make_tier,
    moment,
    set_policy,
    the_session,
)


def limits_of(session: Session) -> list[dict[str, Any]]:
    """The limits that a session was judged by, as its trace has them."""
    return [check for check in map(whole_check, session.trace) if "limit" in check]


def days() -> dict[str, tuple[int, int]]:
    """Sessions and call seconds by local day, once every sum equals its recount."""
    assert_usage_is_sound()
    counted: dict[str, tuple[int, int]] = {}
    for row in DailyUsage.objects.order_by("day"):
        sessions, seconds = counted.get(str(row.day), (0, 0))
        counted[str(row.day)] = sessions + row.sessions, seconds + row.call_seconds
    return {day: amounts for day, amounts in counted.items() if amounts != (0, 0)}


def reason(livetok: LiveTok, session_id: str, at: str, **changes) -> str:
    """What a begin at that time is decided with."""
    livetok.begin(sessionId=session_id, timestamp=at, **changes)
    return the_session(session_id).reason


def call(livetok: LiveTok, session_id: str, at: str, seconds: int, **changes) -> None:
    """A whole call from `at` on."""
    livetok.begin(sessionId=session_id, timestamp=at, **changes)
    end = (moment(at) + timedelta(seconds=seconds)).isoformat()
    livetok.end(sessionId=session_id, timestamp=end, duration=seconds, **changes)


# Limits that count


def test_used_below_the_amount_admits_and_the_amount_itself_denies(livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 10)))
    call(livetok, "1", "2024-03-15T08:00:00Z", 599)

    assert reason(livetok, "2", "2024-03-15T09:00:00Z") == "allowed"
    livetok.end(sessionId="2", timestamp="2024-03-15T09:00:01Z", duration=1)
    assert reason(livetok, "3", "2024-03-15T10:00:00Z") == "call_minutes_day"


@pytest.mark.parametrize(
    ("period", "last_inside", "first_after"),
    [
        ("day", "2024-03-15T23:59:59Z", "2024-03-16T00:00:00Z"),
        ("week", "2024-03-17T23:59:59Z", "2024-03-18T00:00:00Z"),
        ("month", "2024-03-31T23:59:59Z", "2024-04-01T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("metric", ["sessions", "call_minutes"])
def test_a_limit_holds_until_its_period_ends(livetok: LiveTok, metric, period, last_inside, first_after):
    make_customer(make_tier("premium", limit(metric, 1, period)))
    call(livetok, "1", "2024-03-15T08:00:00Z", 60)

    assert reason(livetok, "2", last_inside) == f"{metric}_{period}"
    assert reason(livetok, "3", first_after) == "allowed"
    assert reason(livetok, "4", "2024-02-29T08:00:00Z") == "allowed"


def test_concurrent_sessions_are_counted_until_they_end(livetok: LiveTok):
    make_customer(make_tier("premium", limit("concurrent_sessions", 2)))

    assert reason(livetok, "1", "2024-03-15T08:00:00Z") == "allowed"
    assert reason(livetok, "2", "2024-03-15T08:00:01Z") == "allowed"
    assert reason(livetok, "3", "2024-03-15T08:00:02Z") == "concurrent_sessions"
    livetok.end(sessionId="1", timestamp="2024-03-15T08:01:00Z", duration=60)
    assert reason(livetok, "4", "2024-03-15T08:02:00Z") == "allowed"


def test_rows_apply_by_channel_and_agent(livetok: LiveTok):
    make_customer(
        make_tier(
            "premium",
            limit("sessions", 1, channel="telephony", agent="1"),
            limit("sessions", 2, channel="telephony"),
            limit("sessions", 3),
        )
    )
    at = "2024-03-15T08:00:00Z"

    assert reason(livetok, "1", at, kind="telephony", agentId=1) == "allowed"
    assert reason(livetok, "2", at, kind="telephony", agentId="1") == "sessions_day"
    assert reason(livetok, "3", at, kind="telephony", agentId=2) == "allowed"
    assert reason(livetok, "4", at, kind="telephony", agentId=2) == "sessions_day"
    assert reason(livetok, "5", at, kind="web", agentId=1) == "allowed"
    assert reason(livetok, "6", at, kind="web", agentId=1) == "sessions_day"
    assert [(row["limit"], row["used"], row["left"]) for row in limits_of(the_session("4"))] == [
        (3, 2, 1),
        (2, 2, 0),
    ]


def test_another_customers_use_is_none_of_ours(livetok: LiveTok):
    tier = make_tier("premium", limit("sessions", 1), limit("concurrent_sessions", 1))
    make_customer(tier)
    make_customer(tier, "+4915111111111")

    assert reason(livetok, "1", "2024-03-15T08:00:00Z") == "allowed"
    assert reason(livetok, "2", "2024-03-15T08:00:00Z", phoneNumber="+4915111111111") == "allowed"


def test_the_numbers_of_one_customer_share_the_limits(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1)), NUMBER, "+4915111111111")

    assert reason(livetok, "1", "2024-03-15T08:00:00Z") == "allowed"
    assert reason(livetok, "2", "2024-03-15T08:00:00Z", phoneNumber="+4915111111111") == "sessions_day"


def test_the_trace_keeps_every_check_with_limit_origin_used_and_left(livetok: LiveTok):
    customer = make_customer(
        make_tier("premium", limit("call_minutes", 60), limit("sessions", 1), limit("messages", 9))
    )
    make_override(customer, limit("call_minutes", 90))
    call(livetok, "1", "2024-03-15T08:00:00Z", 90)

    assert reason(livetok, "2", "2024-03-15T09:00:00Z") == "sessions_day"
    rows = limits_of(the_session("2"))
    assert [(row["check"], row["limit"], row["origin"], row["used"], row["left"], row["passed"]) for row in rows] == [
        ("sessions_day", 1, "tier", 1, 0, False),
        ("call_minutes_day", 90, "override", 1.5, 88.5, True),
    ]


def test_a_soft_row_lets_in_and_says_so(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 0, hard=False), limit("call_minutes", 5, hard=False)))

    answer = livetok.begin()

    assert (answer["allowed"], answer["limits"]) == (True, {})
    assert the_session().would_deny == ["sessions_day"]
    assert "call_minutes_left_today" not in answer["context"]


# A session's own use


@pytest.mark.parametrize(
    "row",
    [limit("sessions", 1), limit("call_minutes", 1), limit("sessions", 1, "month"), limit("concurrent_sessions", 1)],
)
def test_a_sessions_own_use_never_counts_in_its_own_decision(livetok: LiveTok, row):
    """Not even when its end came first."""
    make_customer(make_tier("premium", row))
    livetok.end(duration=300)

    answer = livetok.begin()

    assert answer["allowed"]
    assert answer["context"]["call_minutes_used_today"] == 0
    assert [check["used"] for check in limits_of(the_session())] == [0]
    assert days() == {"2024-03-15": (1, 300)}


def test_what_others_used_still_counts_when_the_end_came_first(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1)))
    livetok.end()
    call(livetok, "124", "2024-03-15T10:00:00Z", 60)

    assert the_session("124").reason == "sessions_day"
    assert livetok.begin()["context"]["denied_reason"] == "sessions_day"


def test_own_use_of_another_day_is_not_taken_off_todays(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1)))
    livetok.end(sessionId="1", timestamp="2024-03-16T00:03:00Z", duration=300)
    call(livetok, "2", "2024-03-16T00:00:30Z", 10)

    assert reason(livetok, "1", "2024-03-16T00:02:00Z") == "sessions_day"


def test_the_own_use_of_a_session_that_was_another_customers_is_not_taken_off(livetok: LiveTok):
    tier = make_tier("premium", limit("sessions", 1))
    ada, bob = make_customer(tier), make_customer(tier, "+4915111111111", name="Bob")
    call(livetok, "1", "2024-03-15T10:00:00Z", 60, phoneNumber="+4915111111111")
    livetok.end(sessionId="2")
    PhoneNumber.objects.filter(customer=ada).update(customer=bob)

    assert reason(livetok, "2", "2024-03-15T10:30:00Z") == "sessions_day"


# What open sessions hold


def test_an_open_session_uses_the_larger_of_its_elapsed_time_and_the_hold(livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 5), call_hold_minutes=2))

    assert reason(livetok, "1", "2024-03-15T10:00:00Z") == "allowed"
    assert livetok.begin(sessionId="2", timestamp="2024-03-15T10:00:30Z")["context"]["call_minutes_used_today"] == 2
    assert livetok.begin(sessionId="3", timestamp="2024-03-15T10:02:10Z")["context"]["call_minutes_used_today"] == 5
    used = [check["used"] for check in limits_of(the_session("3"))]
    assert used == [round((130 + 120) / 60, 4)]
    assert reason(livetok, "4", "2024-03-15T10:02:11Z") == "call_minutes_day"


def test_four_begins_just_before_midnight_do_not_share_one_minute(livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 1)))

    reasons = [reason(livetok, str(number), "2024-03-15T23:59:45Z") for number in range(4)]

    assert reasons == ["allowed", *["call_minutes_day"] * 3]
    assert reason(livetok, "next", "2024-03-16T00:00:05Z") == "call_minutes_day"


def test_an_open_session_holds_in_each_period_only_its_time_there(livetok: LiveTok):
    customer = make_customer(make_tier("premium"))
    livetok.begin(timestamp="2024-03-31T23:50:00Z")

    usage = usage_at(customer.pk, moment("2024-04-01T00:05:00Z"), ZoneInfo("UTC"), 1)
    # 1 April is a Monday: day, week and month begin.
    assert usage.rows[0].held_seconds == {"day": 300, "week": 300, "month": 300}

    usage = usage_at(customer.pk, moment("2024-03-31T23:59:00Z"), ZoneInfo("UTC"), 1)
    assert usage.rows[0].held_seconds == {"day": 540, "week": 540, "month": 540}


def test_the_hold_is_the_whole_of_it_also_just_after_midnight(livetok: LiveTok):
    customer = make_customer(make_tier("premium"))
    livetok.begin(timestamp="2024-03-15T23:50:00Z")

    usage = usage_at(customer.pk, moment("2024-03-16T00:00:10Z"), ZoneInfo("UTC"), 3)
    assert usage.rows[0].held_seconds == {"day": 180, "week": 610, "month": 610}


def test_a_session_on_a_channel_that_counts_nothing_holds_no_minutes(livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 1), limit("concurrent_sessions", 3)))

    assert reason(livetok, "1", "2024-03-15T10:00:00Z", kind="chat") == "allowed"
    assert reason(livetok, "2", "2024-03-15T10:10:00Z") == "allowed"
    assert [(check["check"], check["used"]) for check in limits_of(the_session("2"))] == [
        ("concurrent_sessions", 1),
        ("call_minutes_day", 0),
    ]


def test_call_minutes_do_not_deny_on_a_channel_that_does_not_count_toward_them(livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 1)))
    call(livetok, "1", "2024-03-15T10:00:00Z", 600)

    assert reason(livetok, "2", "2024-03-15T11:00:00Z", kind="chat") == "allowed"
    assert livetok.begin(sessionId="2")["limits"] == {"dailyCallMinutes": 1}


def test_a_denied_session_holds_nothing(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1), limit("concurrent_sessions", 2), limit("call_minutes", 3)))
    reason(livetok, "1", "2024-03-15T10:00:00Z")
    for number in range(2, 9):
        assert reason(livetok, str(number), "2024-03-15T10:00:01Z") == "sessions_day"

    assert days() == {"2024-03-15": (1, 0)}


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2024-03-15T10:30:00Z", True),
        ("2024-03-15T14:29:59.999999Z", True),
        ("2024-03-15T14:30:00Z", False),
        ("2024-03-15T06:30:00.000001Z", True),
        ("2024-03-15T06:30:00Z", False),
        ("2024-03-14T10:30:00Z", False),
    ],
)
def test_a_session_is_open_for_a_decision_less_than_its_longest_time_before_or_after(livetok: LiveTok, now, is_open):
    make_customer(make_tier("premium", limit("concurrent_sessions", 1)))
    livetok.begin(kind="telephony")

    usage = usage_at(Customer.objects.get().pk, moment(now), ZoneInfo("UTC"), 1)
    assert usage.open_sessions() == is_open
    assert reason(livetok, "124", now) == ("concurrent_sessions" if is_open else "allowed")


def test_a_session_that_began_after_now_holds_the_hold(livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 1)))
    livetok.begin(timestamp="2024-03-15T10:30:00Z")

    assert reason(livetok, "124", "2024-03-15T10:29:00Z") == "call_minutes_day"


def test_an_ended_session_is_not_open_whatever_its_time(livetok: LiveTok):
    make_customer(make_tier("premium", limit("concurrent_sessions", 1)))
    call(livetok, "1", "2024-03-15T10:00:00Z", 3600)

    assert reason(livetok, "2", "2024-03-15T10:30:00Z") == "allowed"


def test_a_missing_end_charges_no_minutes_in_a_later_decision(livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 600), limit("sessions", 9)))
    livetok.begin(kind="telephony", timestamp="2024-03-15T01:00:00Z")
    livetok.begin(sessionId="124", timestamp="2024-03-15T05:00:00Z")

    assert [(check["check"], check["used"]) for check in limits_of(the_session("124"))] == [
        ("sessions_day", 1),
        ("call_minutes_day", 0),
    ]


# Days, midnights and zones


def test_a_call_across_midnight_is_split_and_counts_as_a_session_where_it_starts(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1), limit("call_minutes", 3)))
    call(livetok, "1", "2024-03-15T23:58:00Z", 300)
    assert days() == {"2024-03-15": (1, 120), "2024-03-16": (0, 180)}

    assert reason(livetok, "2", "2024-03-15T23:59:59Z") == "sessions_day"
    assert reason(livetok, "3", "2024-03-16T12:00:00Z") == "call_minutes_day"
    assert reason(livetok, "4", "2024-03-17T12:00:00Z") == "allowed"


def test_a_call_across_a_months_end_is_split_there(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1, "month"), limit("call_minutes", 2, "month")))
    call(livetok, "1", "2024-02-29T23:59:00Z", 180)
    assert days() == {"2024-02-29": (1, 60), "2024-03-01": (0, 120)}

    assert reason(livetok, "2", "2024-02-29T12:00:00Z") == "sessions_month"
    assert reason(livetok, "3", "2024-03-31T12:00:00Z") == "call_minutes_month"
    assert reason(livetok, "4", "2024-04-01T12:00:00Z") == "allowed"


def test_a_call_across_a_weeks_end_is_split_there(livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 2, "week")))
    call(livetok, "1", "2024-03-17T23:59:00Z", 180)

    assert reason(livetok, "2", "2024-03-17T12:00:00Z") == "allowed"
    livetok.end(sessionId="2", duration=0)
    assert reason(livetok, "3", "2024-03-24T12:00:00Z") == "call_minutes_week"


def test_a_session_that_has_only_its_end_started_its_duration_before(livetok: LiveTok):
    make_customer()
    livetok.end(timestamp="2024-03-16T00:01:00Z", duration=180)

    assert days() == {"2024-03-15": (1, 120), "2024-03-16": (0, 60)}


@pytest.mark.parametrize(
    ("zone", "start", "seconds", "expected"),
    [
        ("Europe/Berlin", "2024-03-15T22:58:00Z", 300, {"2024-03-15": (1, 120), "2024-03-16": (0, 180)}),
        ("America/New_York", "2024-03-15T03:59:00Z", 120, {"2024-03-14": (1, 60), "2024-03-15": (0, 60)}),
        # The clock goes forward at 02:00 and back at 03:00: days of 23 and 25 hours.
        (
            "Europe/Berlin",
            "2024-03-30T22:59:00Z",
            24 * 3600,
            {"2024-03-30": (1, 60), "2024-03-31": (0, 23 * 3600), "2024-04-01": (0, 3540)},
        ),
        ("Europe/Berlin", "2024-10-26T22:00:00Z", 24 * 3600, {"2024-10-27": (1, 24 * 3600)}),
        ("America/Sao_Paulo", "2018-11-04T02:59:00Z", 120, {"2018-11-03": (1, 60), "2018-11-04": (0, 60)}),
        ("Pacific/Apia", "2011-12-30T09:59:00Z", 120, {"2011-12-29": (1, 60), "2011-12-31": (0, 60)}),
    ],
)
def test_days_are_the_customers(livetok: LiveTok, zone, start, seconds, expected):
    make_customer(time_zone=zone)
    call(livetok, "1", start, seconds)

    assert days() == expected


def test_limits_reset_at_the_customers_midnight(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1)), time_zone="America/Sao_Paulo")
    answer = livetok.begin(timestamp="2018-11-03T12:00:00Z")

    assert answer["context"]["limits_reset_at"] == "2018-11-04T01:00:00-02:00"
    assert reason(livetok, "2", "2018-11-04T02:59:59Z") == "sessions_day"
    assert reason(livetok, "3", "2018-11-04T03:00:00Z") == "allowed"


def test_a_blank_time_zone_is_the_companys(livetok: LiveTok, settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    make_customer()
    call(livetok, "1", "2024-03-15T16:00:00Z", 60)

    assert days() == {"2024-03-16": (1, 60)}
    assert the_session("1").time_zone == "Asia/Tokyo"


def test_a_later_time_zone_holds_for_later_sessions_and_recounts_use_the_stored_one(livetok: LiveTok):
    make_customer()
    livetok.begin(timestamp="2024-03-15T22:00:00Z")
    Customer.objects.update(time_zone="Asia/Tokyo")
    livetok.end(timestamp="2024-03-15T22:05:00Z", duration=300)
    assert days() == {"2024-03-15": (1, 300)}

    call(livetok, "124", "2024-03-15T22:00:00Z", 60)
    assert days() == {"2024-03-15": (1, 300), "2024-03-16": (1, 60)}


def test_whether_a_channel_counts_is_stored_at_the_decision(livetok: LiveTok):
    make_customer()
    livetok.begin(kind="telephony")
    Channel.objects.update(counts_toward_call_minutes=False)
    livetok.end(kind="telephony")
    call(livetok, "124", "2024-03-15T12:00:00Z", 60, kind="telephony")

    assert days() == {"2024-03-15": (2, 300)}
    assert DailyUsage.objects.get().seconds == 360


def test_usage_belongs_to_the_customer_at_the_time(livetok: LiveTok):
    tier = make_tier("premium", limit("sessions", 2))
    ada, bob = make_customer(tier), make_customer(tier, "+4915111111111", name="Bob")
    call(livetok, "1", "2024-03-15T08:00:00Z", 60)
    livetok.begin(sessionId="2", timestamp="2024-03-15T09:00:00Z")
    PhoneNumber.objects.filter(customer=ada).update(customer=bob)

    assert reason(livetok, "3", "2024-03-15T10:00:00Z") == "allowed"
    livetok.end(sessionId="2", timestamp="2024-03-15T09:05:00Z", duration=300)
    assert {row.customer: (row.sessions, row.call_seconds) for row in DailyUsage.objects.all()} == {
        ada: (2, 360),
        bob: (1, 0),
    }
    assert_usage_is_sound()


def test_the_clock_of_a_decision_is_livetoks(livetok: LiveTok):
    """Events of any date replay alike."""
    make_customer(make_tier("premium", limit("sessions", 1)))

    for year in ("1999", "2024", "2150"):
        assert reason(livetok, f"{year}-1", f"{year}-03-15T08:00:00Z") == "allowed"
        assert reason(livetok, f"{year}-2", f"{year}-03-15T09:00:00Z") == "sessions_day"


# What the answer says is left


def test_in_what_is_left_mode_the_smallest_left_of_day_week_and_month_is_sent(livetok: LiveTok):
    make_customer(
        make_tier(
            "premium",
            limit("messages", 100),
            limit("call_minutes", 60),
            limit("call_minutes", 70, "week"),
            limit("call_minutes", 1000, "month"),
        )
    )
    set_policy(limits_in_answer="what_is_left")
    call(livetok, "1", "2024-03-13T10:00:00Z", 30 * 60)
    call(livetok, "2", "2024-03-15T10:00:00Z", 10 * 60 + 1)

    limits = livetok.begin(sessionId="3", timestamp="2024-03-15T12:00:00Z", kind="chat")["limits"]
    assert limits == {"dailyMessageLimit": 100, "dailyCallMinutes": 29}
    call(livetok, "4", "2024-03-15T13:00:00Z", 29 * 60 + 30)
    limits = livetok.begin(sessionId="5", timestamp="2024-03-15T14:00:00Z")["limits"]
    assert limits == {"dailyMessageLimit": 100, "dailyCallMinutes": 1}
    denied = livetok.begin(sessionId="6", timestamp="2024-03-15T14:00:01Z")
    assert (denied["allowed"], denied["limits"]) == (False, {"dailyMessageLimit": 100, "dailyCallMinutes": 0})


def test_in_days_total_mode_the_total_is_sent_whatever_was_used(livetok: LiveTok):
    make_customer(make_tier("premium", limit("call_minutes", 60), limit("call_minutes", 20, "week")))
    call(livetok, "1", "2024-03-15T10:00:00Z", 600)

    answer = livetok.begin(sessionId="2", timestamp="2024-03-15T12:00:00Z")
    assert answer["limits"] == {"dailyCallMinutes": 60}
    assert (answer["context"]["call_minutes_used_today"], answer["context"]["call_minutes_left_today"]) == (10, 50)


# Overrides


def test_an_override_is_judged_by_the_decisions_now(livetok: LiveTok):
    customer = make_customer(make_tier("premium", limit("sessions", 0)))
    make_override(
        customer,
        limit("sessions", 9),
        valid_from=moment("2024-03-15T10:00:00Z"),
        valid_until=moment("2024-03-15T11:00:00Z"),
    )

    assert reason(livetok, "1", "2024-03-15T09:59:59Z") == "sessions_day"
    assert reason(livetok, "2", "2024-03-15T10:00:00Z") == "allowed"
    assert reason(livetok, "3", "2024-03-15T10:59:59Z") == "allowed"
    assert reason(livetok, "4", "2024-03-15T11:00:00Z") == "sessions_day"


def test_an_unlimited_override_admits(livetok: LiveTok):
    customer = make_customer(
        make_tier("premium", limit("call_minutes", 0), limit("call_minutes", 60, channel="telephony"))
    )
    make_override(customer, limit("call_minutes", None))

    assert livetok.begin()["limits"] == {}
    assert livetok.begin(sessionId="124", kind="telephony")["limits"] == {"dailyCallMinutes": 60}


# Sums and recounts


def test_every_sum_can_be_recounted_and_repaired(livetok: LiveTok):
    customer = make_customer()
    call(livetok, "1", "2024-03-15T10:00:00Z", 300)
    kept = DailyUsage.objects.get()
    DailyUsage.objects.update(sessions=5, seconds=7, call_seconds=0)
    DailyUsage.objects.create(customer=customer, day=date(2020, 1, 1), sessions=1)

    found = list(differences())
    assert [str(difference) for difference in found] == [
        (
            f"customer {customer.pk}, 2020-01-01, channel –, agent –: "
            "kept 1 sessions, 0 s, 0 s of calls, counted 0 sessions, 0 s, 0 s of calls"
        ),
        (
            f"customer {customer.pk}, 2024-03-15, channel whatsapp, agent 1: "
            "kept 5 sessions, 7 s, 0 s of calls, counted 1 sessions, 300 s, 300 s of calls"
        ),
    ]
    assert DailyUsage.objects.get(day=kept.day).sessions == 5
    assert list(differences(repair=True)) == found
    assert_usage_is_sound()
    kept.refresh_from_db()
    assert (kept.sessions, kept.seconds, kept.call_seconds) == (1, 300, 300)


def test_a_sum_that_is_missing_is_found(livetok: LiveTok):
    make_customer()
    call(livetok, "1", "2024-03-15T10:00:00Z", 300)
    DailyUsage.objects.all().delete()

    assert len(list(differences(repair=True))) == 1
    assert days() == {"2024-03-15": (1, 300)}


def test_usage_within_a_period_adds_the_days_of_every_channel_and_agent(livetok: LiveTok):
    customer = make_customer(make_tier("premium"))
    call(livetok, "1", "2024-03-01T10:00:00Z", 60, kind="web", agentId=1)
    call(livetok, "2", "2024-03-11T10:00:00Z", 120, kind="web", agentId=1)
    call(livetok, "3", "2024-03-15T10:00:00Z", 240, kind="web", agentId=2)
    call(livetok, "4", "2024-03-15T11:00:00Z", 480, kind="chat", agentId=1)
    call(livetok, "5", "2024-03-31T11:00:00Z", 960, kind="web", agentId=1)

    usage = usage_at(customer.pk, moment("2024-03-15T12:00:00Z"), ZoneInfo("UTC"), 1)
    assert [(row.channel, row.agent, *row.sessions.values(), *row.call_seconds.values()) for row in usage.rows] == [
        ("chat", "1", 1, 1, 1, 0, 0, 0),
        ("web", "1", 0, 1, 3, 0, 120, 1140),
        ("web", "2", 1, 1, 1, 240, 240, 240),
    ]


def test_a_week_that_reaches_into_another_month_is_whole(livetok: LiveTok):
    make_customer(make_tier("premium", limit("sessions", 1, "week")))
    call(livetok, "1", "2024-02-26T10:00:00Z", 60)

    assert reason(livetok, "2", "2024-03-03T10:00:00Z") == "sessions_week"
    assert Session.objects.count() == 2


def test_a_tier_that_a_customer_moves_to_holds_at_once_with_what_was_used_before(livetok: LiveTok):
    customer = make_customer(make_tier("premium"))
    call(livetok, "1", "2024-03-15T10:00:00Z", 300)
    Customer.objects.filter(pk=customer.pk).update(tier=make_tier("small", limit("call_minutes", 5)))

    assert reason(livetok, "2", "2024-03-15T11:00:00Z") == "call_minutes_day"
    assert the_session("1").tier == Tier.objects.get(slug="premium")
    assert the_session("2").tier.slug == "small"


def test_a_hold_is_by_channel_and_agent(livetok: LiveTok):
    limits = limit("call_minutes", 1, channel="telephony"), limit("call_minutes", 2, agent="9")
    make_customer(make_tier("premium", *limits))

    assert reason(livetok, "1", "2024-03-15T10:00:00Z", kind="web", agentId=9) == "allowed"
    assert reason(livetok, "2", "2024-03-15T10:00:00Z", kind="telephony", agentId=1) == "allowed"
    assert reason(livetok, "3", "2024-03-15T10:00:00Z", kind="telephony", agentId=1) == "call_minutes_day"
    assert reason(livetok, "4", "2024-03-15T10:00:00Z", kind="web", agentId=9) == "allowed"
    assert reason(livetok, "5", "2024-03-15T10:00:00Z", kind="web", agentId=9) == "call_minutes_day"
