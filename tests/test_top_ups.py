"""Top-ups: what lifts a limit that is used up, what is drawn, and what is told of it (docs/decisions.md)."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db.models import ProtectedError

from customers.editing import claim_number
from customers.limits import Limit, Metric, Period
from customers.models import Customer, TopUp
from sessions_app.decision.answer import limits_in_total, limits_left, own_context
from sessions_app.decision.rules import Balance, CallerKind, Facts, Reason, Usage, UsageRow, decide, whole_check
from sessions_app.models import DailyUsage, Session, TopUpUse
from sessions_app.recording import pruning
from sessions_app.sums.keeping import keep_sums
from sessions_app.usage.often import filled_of
from sessions_app.usage.recount import differences
from sessions_app.usage.used import usage_at
from tests.builders import (
    LiveTok,
    assert_usage_is_sound,
    limit,
    make_channel,
    make_customer,
    make_override,
    make_tier,
    make_top_up,
    moment,
    set_policy,
    the_session,
)

DAY, WEEK, MONTH = Period.DAY, Period.WEEK, Period.MONTH


def at(clock: str, day: int = 15) -> str:
    return f"2024-03-{day:02}T{clock}:00Z"


def reason(livetok: LiveTok, session_id: str, when: str, **changes) -> str:
    livetok.begin(sessionId=session_id, timestamp=when, **changes)
    return the_session(session_id).reason


def end(livetok: LiveTok, session_id: str, when: str, seconds: int, **changes) -> None:
    ended = (moment(when) + timedelta(seconds=seconds)).isoformat()
    livetok.end(sessionId=session_id, timestamp=ended, duration=seconds, **changes)


def call(livetok: LiveTok, session_id: str, when: str, minutes: int, **changes) -> str:
    decided = reason(livetok, session_id, when, **changes)
    end(livetok, session_id, when, minutes * 60, **changes)
    return decided


def drawn(top_up: TopUp) -> tuple[int, int]:
    """Sessions and minutes, once every sum equals its recount."""
    assert_usage_is_sound()
    use = TopUpUse.objects.filter(pk=top_up.pk).first()
    return (use.sessions, use.call_seconds // 60) if use else (0, 0)


def checks(session_id: str) -> dict[str, dict[str, Any]]:
    return {check["check"]: check for check in map(whole_check, the_session(session_id).trace)}


# The pure decision


def balance(metric: str, amount: int, drawn: float = 0, top_up_id: int = 1) -> Balance:
    return Balance(top_up_id, Metric(metric), amount, drawn, date(2024, 11, 12))


def facts(*limits: Limit, balances: tuple[Balance, ...] = (), sessions=0, seconds=0, today=0.0, **changes) -> Facts:
    row = UsageRow(
        "telephony",
        "1",
        dict.fromkeys((DAY, WEEK, MONTH), sessions),
        dict.fromkeys((DAY, WEEK, MONTH), seconds),
        drawn_seconds_today=today,
    )
    plain = Facts(CallerKind.CUSTOMER, "telephony", "1", limits=limits, usage=Usage((row,), balances))
    return replace(plain, **changes)


def row(metric: str, amount: int | None, period: str = "day", **fields) -> Limit:
    return Limit(Metric(metric), Period(period), amount, **fields)


@pytest.mark.parametrize("period", ["day", "week", "month"])
@pytest.mark.parametrize("metric", ["call_minutes", "sessions"])
@pytest.mark.parametrize(
    "fields", [{}, {"hard": False}, {"channel": "telephony"}, {"agent": "1", "origin": "override"}]
)
def test_a_limit_that_is_used_up_is_lifted(metric, period, fields):
    used = facts(row(metric, 1, period, **fields), balances=(balance(metric, 30),), sessions=1, seconds=60)

    decision = decide(used)

    assert (decision.reason, decision.would_deny) == (Reason.ALLOWED, ())
    assert decision.draws_on == {Metric(metric): 1}
    assert (
        decide(replace(used, usage=Usage(used.usage.rows))).would_deny
        or not decide(replace(used, usage=Usage(used.usage.rows))).allowed
    )


def test_a_limit_with_a_rest_is_not_lifted_and_nothing_is_drawn():
    decision = decide(facts(row("call_minutes", 1), balances=(balance("call_minutes", 30),), seconds=59))

    assert (decision.reason, decision.draws_on) == (Reason.ALLOWED, {})
    assert "top_up" not in decision.checks[-1].as_json()


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "paused"},
        {"emergency": "deny_all"},
        {"emergency": "allow_all"},
        {"has_expired": True},
        {"allowed_channels": frozenset({"web"})},
    ],
)
def test_nothing_is_drawn_where_something_else_decides(changes):
    decision = decide(facts(row("call_minutes", 0), balances=(balance("call_minutes", 30),), **changes))

    assert decision.reason is not Reason.ALLOWED
    assert decision.draws_on == {}


def test_one_metric_that_is_not_lifted_denies_and_nothing_of_the_other_is_drawn():
    decision = decide(facts(row("sessions", 0), row("call_minutes", 0), balances=(balance("call_minutes", 30),)))

    assert (decision.reason, decision.draws_on) == (Reason.SESSIONS_DAY, {})


def test_sessions_at_once_and_channels_that_do_not_count_draw_nothing():
    at_once = facts(row("concurrent_sessions", 0, ""), balances=(balance("sessions", 9),))
    chat = facts(row("call_minutes", 0), balances=(balance("call_minutes", 9),), counts_toward_call_minutes=False)

    assert decide(at_once).reason is Reason.CONCURRENT_SESSIONS
    assert (decide(chat).reason, decide(chat).draws_on) == (Reason.ALLOWED, {})


def test_the_first_with_something_left_is_drawn_on_for_all_limits_of_its_metric():
    balances = (
        balance("call_minutes", 10, 600, 1),
        balance("call_minutes", 10, 599, 2),
        balance("call_minutes", 9, 0, 3),
    )
    decision = decide(facts(row("call_minutes", 0), row("call_minutes", 0, "month"), balances=balances))

    assert decision.draws_on == {Metric.CALL_MINUTES: 2}
    assert [check.as_json()["top_up"]["id"] for check in decision.checks[-2:]] == [2, 2]


def test_the_trace_says_which_top_up_let_the_session_in():
    decision = decide(facts(row("call_minutes", 60), balances=(balance("call_minutes", 60, 1800, 7),), seconds=3600))

    assert whole_check(decision.checks[-1].as_json()) == {
        "check": "call_minutes_day",
        "passed": True,
        "note": "",
        "metric": "call_minutes",
        "period": "day",
        "channel": None,
        "agent": None,
        "hard": True,
        "origin": "tier",
        "limit": 60,
        "used": 60,
        "left": 0,
        "top_up": {"id": 7, "from": "2024-11-12", "amount": 60, "used": 30, "left": 30},
    }


# The answer


def test_what_is_left_is_that_of_limits_and_of_all_top_ups():
    balances = (balance("call_minutes", 30, 1190, 1), balance("call_minutes", 10, 0, 2), balance("sessions", 3, 1, 3))
    # 20 s of the day, 610 s and 600 s of the top-ups: 20 minutes and 30 s.
    each = facts(row("call_minutes", 60), row("messages", 9), balances=balances, seconds=3580)

    assert limits_left(decide(each), each) == {"dailyMessageLimit": 9, "dailyCallMinutes": 20}
    own = own_context(each, tier="t", name="", status="active", resets_at=moment(at("00:00", 16)))
    assert own["call_minutes_left_today"] == 20
    assert (own["top_up_minutes_left"], own["top_up_sessions_left"]) == (20, 2)


def test_the_days_total_has_what_was_drawn_today_and_what_top_ups_have_left():
    each = facts(row("call_minutes", 60), balances=(balance("call_minutes", 30, 1200),), seconds=3600, today=1200)

    assert limits_in_total(each) == {"dailyCallMinutes": 60 + 20 + 10}
    own = own_context(each, tier="t", name="", status="active", resets_at=moment(at("00:00", 16)))
    assert (own["call_minutes_used_today"], own["call_minutes_left_today"]) == (80, 10)


def test_an_unlimited_day_stays_unlimited_with_a_top_up():
    each = facts(row("call_minutes", None), balances=(balance("call_minutes", 30),))

    assert (limits_in_total(each), limits_left(decide(each), each)) == ({}, {})


def test_a_used_up_top_up_is_told_as_0():
    each = facts(row("call_minutes", 1, "month"), balances=(balance("call_minutes", 1, 90),), seconds=60)

    own = own_context(
        each,
        tier="t",
        name="",
        status="active",
        resets_at=moment(at("00:00", 16)),
        denied_by=decide(each).decisive.limit,
    )
    assert decide(each).reason is Reason.CALL_MINUTES_MONTH
    assert (own["top_up_minutes_left"], limits_left(decide(each), each)) == (0, {"dailyCallMinutes": 0})


# The whole way


@pytest.fixture
def ada(db) -> Customer:
    return make_customer(make_tier("premium", limit("call_minutes", 60)))


def test_with_a_minute_left_of_the_day_nothing_is_drawn(livetok: LiveTok, ada):
    top_up = make_top_up(ada, "call_minutes", 30)
    call(livetok, "1", at("08:00"), 59)

    assert call(livetok, "2", at("10:00"), 20) == "allowed"

    assert drawn(top_up) == (0, 0)
    assert DailyUsage.objects.get().call_seconds == 79 * 60
    assert call(livetok, "3", at("11:00"), 1) == "allowed"
    assert checks("3")["call_minutes_day"]["used"] == 79


def test_what_is_drawn_uses_up_no_limit(livetok: LiveTok, ada):
    top_up = make_top_up(ada, "call_minutes", 30)
    call(livetok, "1", at("08:00"), 60)

    assert call(livetok, "2", at("10:00"), 20) == "allowed"

    assert drawn(top_up) == (0, 20)
    assert (DailyUsage.objects.get().call_seconds, DailyUsage.objects.get().drawn_call_seconds) == (4800, 1200)
    # A limit that is raised later is not charged with it.
    make_override(ada, limit("call_minutes", 90))
    call(livetok, "3", at("11:00"), 0)
    assert (checks("3")["call_minutes_day"]["used"], checks("3")["call_minutes_day"]["left"]) == (60, 30)
    # Nor is the next day.
    call(livetok, "4", at("08:00", 16), 0)
    assert checks("4")["call_minutes_day"]["used"] == 0
    assert drawn(top_up) == (0, 20)


def test_with_a_minute_left_of_a_top_up_it_is_drawn_on_wholly_and_nothing_goes_on_to_the_next(livetok: LiveTok, ada):
    first, second = make_top_up(ada, "call_minutes", 20), make_top_up(ada, "call_minutes", 60)
    call(livetok, "1", at("08:00"), 60)
    call(livetok, "2", at("10:00"), 19)

    call(livetok, "3", at("11:00"), 25)
    call(livetok, "4", at("12:00"), 1)

    assert (drawn(first), drawn(second)) == ((0, 44), (0, 1))


def test_the_one_that_ends_soonest_is_drawn_on_first(livetok: LiveTok, ada):
    endless, later = (
        make_top_up(ada, "call_minutes", 9),
        make_top_up(ada, "call_minutes", 9, valid_until=moment(at("00:00", 30))),
    )
    sooner = make_top_up(ada, "call_minutes", 9, valid_until=moment(at("00:00", 16)))
    alike = make_top_up(ada, "call_minutes", 9, valid_until=moment(at("00:00", 30)))
    call(livetok, "1", at("08:00"), 60)

    for number, hour in enumerate(range(10, 14)):
        call(livetok, f"drawing {number}", at(f"{hour}:00"), 9)

    ids = [the_session(f"drawing {number}").minutes_top_up_id for number in range(4)]
    assert ids == [sooner.pk, later.pk, alike.pk, endless.pk]
    assert reason(livetok, "over", at("15:00")) == "call_minutes_day"
    assert the_session("over").minutes_top_up_id is None


def test_a_top_up_is_valid_from_its_start_up_to_its_end_by_livetoks_clock(livetok: LiveTok, ada):
    make_top_up(ada, "call_minutes", 30, valid_from=moment(at("10:00")), valid_until=moment(at("11:00")))
    call(livetok, "1", at("08:00"), 60)

    assert reason(livetok, "before", "2024-03-15T09:59:59Z") == "call_minutes_day"
    assert call(livetok, "first", at("10:00"), 1) == "allowed"
    # Only its begin has to be before the end.
    assert call(livetok, "last", "2024-03-15T10:59:59Z", 9) == "allowed"
    assert reason(livetok, "after", at("11:00")) == "call_minutes_day"
    assert the_session("last").minutes_top_up_id is not None


def test_an_open_session_holds_its_time_or_the_hold_of_the_top_up(livetok: LiveTok):
    ada = make_customer(make_tier("premium", limit("call_minutes", 0), call_hold_minutes=2))
    make_top_up(ada, "call_minutes", 7)

    answers = [
        livetok.begin(sessionId="1", timestamp=at("08:00")),
        livetok.begin(sessionId="2", timestamp=at("08:01")),
        livetok.begin(sessionId="3", timestamp=at("08:03")),
        livetok.begin(sessionId="4", timestamp=at("08:04")),
    ]

    # 0; 2; 3 and 2; 4, 3 and 2 minutes.
    assert [answer["context"]["top_up_minutes_left"] for answer in answers] == [7, 5, 2, 0]
    assert [answer["allowed"] for answer in answers] == [True, True, True, False]
    assert [answer["context"]["call_minutes_used_today"] for answer in answers] == [0, 2, 5, 9]
    assert checks("3")["call_minutes_day"]["used"] == 0
    end(livetok, "1", at("08:00"), 60)
    assert livetok.begin(sessionId="5", timestamp=at("08:05"))["context"]["top_up_minutes_left"] == 7 - 1 - 4 - 2


def test_a_session_whose_end_never_comes_has_drawn_no_minutes_but_a_session(livetok: LiveTok):
    ada = make_customer(make_tier("premium", limit("call_minutes", 0), limit("sessions", 0)))
    minutes, sessions = make_top_up(ada, "call_minutes", 7), make_top_up(ada, "sessions", 3)
    make_channel("telephony", longest_session_minutes=60)
    livetok.begin(sessionId="lost", timestamp=at("08:00"), kind="telephony")

    answer = livetok.begin(sessionId="next", timestamp=at("09:00"), kind="telephony")

    assert (answer["context"]["top_up_minutes_left"], answer["context"]["top_up_sessions_left"]) == (7, 2)
    assert (drawn(minutes), drawn(sessions)) == ((0, 0), (2, 0))


def test_sessions_are_drawn_one_by_one_and_at_once(livetok: LiveTok):
    ada = make_customer(make_tier("premium", limit("sessions", 1, "week"), limit("concurrent_sessions", 9)))
    top_up = make_top_up(ada, "sessions", 2)

    decided = [reason(livetok, f"{number}", at("08:00")) for number in range(4)]

    assert decided == ["allowed", "allowed", "allowed", "sessions_week"]
    assert drawn(top_up) == (2, 0)
    assert checks("2")["sessions_week"]["top_up"] == {
        "id": top_up.pk,
        "from": top_up.created_at.date().isoformat(),
        "amount": 2,
        "used": 1,
        "left": 1,
    }


def test_a_limit_of_sessions_that_is_raised_later_is_not_charged_with_what_was_drawn(livetok: LiveTok):
    ada = make_customer(make_tier("premium", limit("sessions", 1, "week")))
    top_up = make_top_up(ada, "sessions", 5)
    for number in range(3):
        livetok.begin(sessionId=f"{number}", timestamp=at("08:00"))
    make_override(ada, limit("sessions", 2, "week"))

    assert reason(livetok, "more", at("09:00")) == "allowed"

    assert (checks("more")["sessions_week"]["used"], drawn(top_up)) == (1, (2, 0))
    [filled] = [one for one in filled_of([ada.pk], moment(at("09:00"))) if one.limit.metric is Metric.SESSIONS]
    assert len(filled.reached) == 1
    ada.overrides.update(amount=3)
    [filled] = filled_of([ada.pk], moment(at("09:00")))
    assert filled.reached == []
    usage = usage_at(ada.pk, moment(at("09:00")), ZoneInfo("UTC"), 1)
    # Of one that is left out, its draw is left out too.
    without = usage_at(ada.pk, moment(at("09:00")), ZoneInfo("UTC"), 1, without=the_session("2"))
    assert (usage.balances[0].left, without.balances[0].left) == (3, 4)
    assert (usage.sessions(DAY), usage.sessions(WEEK), usage.open_sessions()) == (2, 2, 4)


def test_a_corrected_end_changes_what_is_drawn(livetok: LiveTok, ada):
    top_up = make_top_up(ada, "call_minutes", 30)
    call(livetok, "1", at("08:00"), 60)
    call(livetok, "2", at("10:00"), 30)
    assert reason(livetok, "3", at("11:00")) == "call_minutes_day"

    livetok.end(sessionId="2", timestamp=at("10:35"), duration=300)

    assert drawn(top_up) == (0, 5)
    assert the_session("3").reason == "call_minutes_day"
    assert reason(livetok, "4", at("12:00")) == "allowed"
    # Whatever came before: a redelivery draws nothing more.
    livetok.end(sessionId="2", timestamp=at("10:35"), duration=300)
    livetok.begin(sessionId="2", timestamp=at("10:00"))
    assert drawn(top_up) == (0, 5)


def test_an_end_before_its_begin_draws_once_the_begin_is_decided(livetok: LiveTok, ada):
    top_up = make_top_up(ada, "call_minutes", 30)
    call(livetok, "1", at("08:00"), 60)
    end(livetok, "2", at("10:00"), 600)
    assert drawn(top_up) == (0, 0)

    # Its own ten minutes do not count in its own decision, in which the day is used up and no more than that.
    answer = livetok.begin(sessionId="2", timestamp=at("10:00"))

    assert (drawn(top_up), answer["context"]["top_up_minutes_left"]) == ((0, 10), 30)
    assert checks("2")["call_minutes_day"]["used"] == 60
    assert DailyUsage.objects.get().drawn_call_seconds == 600


def test_a_call_across_midnight_is_drawn_wholly_and_on_both_days(livetok: LiveTok, ada):
    top_up = make_top_up(ada, "call_minutes", 30)
    call(livetok, "1", at("08:00"), 60)

    call(livetok, "2", at("23:50"), 20)

    assert drawn(top_up) == (0, 20)
    assert list(DailyUsage.objects.order_by("day").values_list("drawn_call_seconds", flat=True)) == [600, 600]
    call(livetok, "3", at("09:00", 16), 1)
    assert checks("3")["call_minutes_day"]["used"] == 0


def test_denied_sessions_test_traffic_strangers_and_emergencies_draw_nothing(livetok: LiveTok):
    tier = make_tier("premium", limit("sessions", 0), limit("call_minutes", 0, "month"))
    ada = make_customer(tier)
    top_up = make_top_up(ada, "sessions", 9)

    assert reason(livetok, "denied", at("08:00")) == "call_minutes_month"
    end(livetok, "denied", at("08:00"), 60)
    livetok.begin(sessionId="test", timestamp=at("08:00"), livemode=False)
    set_policy(emergency="allow_all")
    assert reason(livetok, "emergency", at("08:00")) == "emergency_allow"

    assert "denied_but_took_place" in the_session("denied").flag_list
    assert not Session.objects.exclude(sessions_top_up_id=None).exists()
    assert (drawn(top_up), DailyUsage.objects.get().sessions) == ((0, 0), 2)
    assert checks("denied")["sessions_day"]["top_up"]["id"] == top_up.pk


def test_test_traffic_is_decided_alike_and_draws_nothing(livetok: LiveTok):
    top_up = make_top_up(make_customer(make_tier("premium", limit("sessions", 0))), "sessions", 1)

    for number in range(2):
        livetok.begin(sessionId=f"test {number}", timestamp=at("08:00"), livemode=False)
        assert the_session(f"test {number}", is_test=True).allowed

    assert not Session.objects.exclude(sessions_top_up_id=None).exists()
    assert drawn(top_up) == (0, 0)


def test_a_soft_limit_that_a_top_up_covers_would_deny_nobody(livetok: LiveTok):
    ada = make_customer(make_tier("premium", limit("call_minutes", 0, hard=False)))
    top_up = make_top_up(ada, "call_minutes", 1)

    call(livetok, "1", at("08:00"), 1)
    call(livetok, "2", at("09:00"), 1)

    assert (the_session("1").would_deny, the_session("2").would_deny) == ([], ["call_minutes_day"])
    assert drawn(top_up) == (0, 1)


def test_an_edit_holds_for_later_decisions_alone(livetok: LiveTok, ada):
    top_up = make_top_up(ada, "call_minutes", 10)
    call(livetok, "1", at("08:00"), 60)
    call(livetok, "2", at("10:00"), 10)
    assert reason(livetok, "3", at("11:00")) == "call_minutes_day"

    TopUp.objects.update(amount=11)
    assert livetok.begin(sessionId="4", timestamp=at("12:00"))["allowed"]
    TopUp.objects.update(amount=5)

    assert livetok.begin(sessionId="5", timestamp=at("12:01"))["context"]["top_up_minutes_left"] == 0
    assert the_session("4").minutes_top_up_id == top_up.pk


def test_without_a_valid_top_up_the_answer_is_as_without_any(livetok: LiveTok, ada):
    before = livetok.begin(sessionId="1", timestamp=at("08:00"))
    end(livetok, "1", at("08:00"), 0)
    make_top_up(ada, "call_minutes", 9, valid_until=moment(at("08:00")))
    make_top_up(ada, "call_minutes", 9, valid_from=moment(at("09:00")))

    assert livetok.begin(sessionId="2", timestamp=at("08:00")) == before
    assert "top_ups" not in the_session("2").facts


def test_a_merged_first_contact_brings_its_top_ups_and_what_was_drawn(livetok: LiveTok):
    tier = make_tier("free", limit("call_minutes", 0))
    set_policy(unknown_callers="serve", unknown_callers_tier=tier)
    livetok.begin(sessionId="0", timestamp=at("07:00"))
    top_up = make_top_up(Customer.objects.get(), "call_minutes", 30)
    call(livetok, "1", at("08:00"), 10)
    ada = make_customer(tier, "+4915111111111")

    claim_number(ada, "+1234567890")

    top_up.refresh_from_db()
    assert (top_up.customer, drawn(top_up)) == (ada, (0, 10))
    assert livetok.begin(sessionId="2", timestamp=at("09:00"))["context"]["top_up_minutes_left"] == 20


def test_a_used_top_up_cannot_be_deleted(livetok: LiveTok, ada):
    top_up, unused = make_top_up(ada, "call_minutes", 30), make_top_up(ada, "call_minutes", 30)
    call(livetok, "1", at("08:00"), 60)
    livetok.begin(sessionId="2", timestamp=at("10:00"))

    with pytest.raises(ProtectedError):
        top_up.delete()
    unused.delete()


def test_a_sum_that_differs_is_told_and_set_right(livetok: LiveTok, ada):
    top_up = make_top_up(ada, "call_minutes", 30)
    call(livetok, "1", at("08:00"), 60)
    call(livetok, "2", at("10:00"), 7)
    TopUpUse.objects.update(call_seconds=1, sessions=3)
    DailyUsage.objects.update(drawn_call_seconds=5)

    told = [str(difference) for difference in differences(repair=True)]

    assert len(told) == 2
    assert "(drawn: 0 sessions, 5 s)" in told[0]
    assert told[1].endswith(f"top-up {top_up.pk}: kept 3 sessions, 1 s, counted 0 sessions, 420 s")
    assert drawn(top_up) == (0, 7)
    TopUpUse.objects.all().delete()
    assert len(list(differences(repair=True))) == 1
    assert drawn(top_up) == (0, 7)


def test_another_customers_top_up_is_none_of_ours(livetok: LiveTok, ada):
    make_top_up(make_customer(ada.tier, "+15550001"), "call_minutes", 30)
    call(livetok, "1", at("08:00"), 60)

    assert reason(livetok, "2", at("10:00")) == "call_minutes_day"


def test_each_metric_has_its_own_top_up(livetok: LiveTok):
    ada = make_customer(make_tier("premium", limit("sessions", 0), limit("call_minutes", 0)))
    minutes, sessions = make_top_up(ada, "call_minutes", 30), make_top_up(ada, "sessions", 5)

    call(livetok, "1", at("08:00"), 3)
    call(livetok, "chat", at("08:00"), 3, kind="chat")

    assert (drawn(minutes), drawn(sessions)) == ((0, 3), (2, 0))
    facts = the_session("chat").facts["top_ups"]
    assert [(one["metric"], one["used"]) for one in facts] == [("call_minutes", 3), ("sessions", 1)]


def test_deleting_old_sessions_leaves_drawn_what_they_drew(livetok: LiveTok, ada, settings, monkeypatch):
    settings.SESSION_RETENTION_DAYS = 100
    monkeypatch.setattr(pruning.clock, "may_be_believed", lambda: True)
    top_up = make_top_up(ada, "call_minutes", 30)
    with time_machine.travel(moment(at("12:00"))):
        call(livetok, "1", at("08:00"), 60)
        call(livetok, "2", at("10:00"), 7)
    with time_machine.travel(moment("2024-11-15T12:00:00Z")):
        keep_sums()
        assert pruning.prune_sessions() == 2
        call(livetok, "3", "2024-11-15T08:00:00Z", 60)
        call(livetok, "4", "2024-11-15T10:00:00Z", 5)

    assert drawn(top_up) == (0, 12)
    TopUpUse.objects.update(call_seconds=0)
    list(differences(repair=True))
    assert drawn(top_up) == (0, 12)
