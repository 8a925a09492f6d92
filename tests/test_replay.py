"""Replay: what would have been decided with other limits."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from customers.defaults import make_defaults
from customers.limits import Limit, Metric, Period
from customers.models import Customer, Tier, TierChange
from customers.scheduling import start_draft
from sessions_app.livetok.delivery import Delivery
from sessions_app.models import Session
from sessions_app.replay import running
from sessions_app.replay.engine import Verdict
from sessions_app.replay.reading import Asked, customers_of, replayed_customers, usual_seconds
from sessions_app.replay.running import ask_for_replay, is_of_now, replay_further
from sessions_app.replay.summing import Line, Summary, Turned
from sessions_app.webhook.reception import receive
from tests.builders import limit, make_channel, make_customer, make_override, make_tier, make_top_up
from tests.examples import examples

NOW = datetime(2024, 3, 29, 12, tzinfo=UTC)
NUMBERS = ("+34600000001", "+64210000002")
MINUTES_A_DAY = Limit(Metric.CALL_MINUTES, Period.DAY, 10)


def deliver(event: str, session_id: str, number: str, at: datetime | None, received_at: datetime, **more: Any) -> None:
    body = {"event": f"session.{event}", "sessionId": session_id, "phoneNumber": number}
    if at is not None:
        body["timestamp"] = at.isoformat()
    reply = receive(
        json.dumps({**body, "kind": "telephony", "agentId": 1, **more}).encode(),
        route="",
        received_at=received_at,
        delivery=Delivery(),
    )
    assert reply.status == 200, reply.content


def call(session_id: str, at: datetime, seconds: int | None, number: str = NUMBERS[0]) -> None:
    """A call from begin to end. None: no end comes."""
    deliver("begin", session_id, number, at, at)
    if seconds is not None:
        end = at + timedelta(seconds=seconds)
        allowed = Session.objects.get(session_id=session_id).allowed
        deliver("end", session_id, number, end, end, **({"duration": seconds} if allowed else {}))


def replayed(tier: Tier, *limits: Limit, since: datetime = NOW - timedelta(days=1)) -> list[tuple[Any, Verdict]]:
    """Each session with its verdict under these limits."""
    asked = Asked(tier.pk, since, NOW + timedelta(days=30), (limits,))
    customers = list(customers_of(asked).order_by("pk").values_list("pk", flat=True))
    found = replayed_customers(asked, customers, usual_seconds(asked))
    return [(session, verdict) for customer in found for session, [verdict] in customer.verdicts]


def reasons(found: list[tuple[Any, Verdict]]) -> list[str]:
    return [verdict.reason.value for _, verdict in found]


@pytest.fixture
def tier(db):
    make_defaults()
    return make_tier("plain", limit("call_minutes", 20))


def test_a_smaller_limit_denies_what_came_after_it_was_used_up(tier):
    make_customer(tier, NUMBERS[0])
    for number in range(3):
        call(str(number), NOW + timedelta(minutes=10 * number), 300)

    assert reasons(replayed(tier, MINUTES_A_DAY)) == ["allowed", "allowed", "call_minutes_day"]
    assert reasons(replayed(tier)) == ["allowed"] * 3


def test_sessions_from_before_anything_was_packed_are_replayed_alike(tier):
    make_customer(tier, NUMBERS[0])
    for number in range(3):
        call(str(number), NOW + timedelta(minutes=10 * number), 300)
    call("open", NOW + timedelta(minutes=40), None)
    packed = replayed(tier, MINUTES_A_DAY)
    for session in Session.objects.all():
        plain = {"plain_facts": session.facts, "plain_trace": session.trace}
        Session.objects.filter(pk=session.pk).update(
            packed_facts=None, packed_trace=None, call_hold_minutes=None, **plain
        )

    assert replayed(tier, MINUTES_A_DAY) == packed
    assert len(packed) == 4


def test_a_session_that_is_denied_frees_what_it_used(tier):
    make_customer(tier, NUMBERS[0])
    call("first", NOW, 60)
    deliver("begin", "chat", NUMBERS[0], NOW + timedelta(minutes=1), NOW + timedelta(minutes=1), kind="chat")
    call("second", NOW + timedelta(minutes=2), 60)

    # The chat stays open all the time. Denied, it is no session at once with the second call any more.
    limits = Limit(Metric.SESSIONS, Period.DAY, 0, channel="chat"), Limit(Metric.CONCURRENT_SESSIONS, Period.NONE, 1)
    assert reasons(replayed(tier, limits[1])) == ["allowed", "allowed", "concurrent_sessions"]
    assert reasons(replayed(tier, *limits)) == ["allowed", "sessions_day", "allowed"]


def test_a_call_that_is_let_in_only_now_takes_the_customers_median(tier):
    make_customer(tier, NUMBERS[0])
    for number, seconds in enumerate([300, 420, 600]):
        call(str(number), NOW + timedelta(minutes=20 * number), seconds)
    for number in range(3, 6):
        call(str(number), NOW + timedelta(minutes=20 * number), 0)

    found = replayed(tier, Limit(Metric.CALL_MINUTES, Period.DAY, 30))

    # 22 minutes were used, and the median of them is 7: after 29 one more is let in, after 36 none.
    assert reasons(found) == ["allowed"] * 5 + ["call_minutes_day"]
    assert [(one.call_seconds, one.is_guessed) for _, one in found[3:]] == [(420, True), (420, True), (0, False)]


def test_a_customer_without_a_call_takes_the_tiers_median(tier):
    make_customer(tier, NUMBERS[0])
    blocked = make_customer(tier, NUMBERS[1])
    override = make_override(blocked, limit("call_minutes", 0))
    call("1", NOW, 90)
    call("2", NOW, 0, NUMBERS[1])
    override.delete()

    assert [(one.call_seconds, one.is_guessed) for _, one in replayed(tier, MINUTES_A_DAY)] == [(90, False), (90, True)]


def test_an_open_call_holds_as_it_did(tier):
    make_customer(tier, NUMBERS[0])
    deliver("begin", "open", NUMBERS[0], NOW, NOW)
    call("2", NOW + timedelta(minutes=9), None)
    call("3", NOW + timedelta(minutes=10), None)

    assert reasons(replayed(tier, MINUTES_A_DAY)) == ["allowed", "allowed", "call_minutes_day"]


def test_none_at_all_denies_where_nothing_was_used(tier):
    make_customer(tier, NUMBERS[0])
    call("1", NOW, 60)

    assert reasons(replayed(tier, Limit(Metric.CONCURRENT_SESSIONS, Period.NONE, 0))) == ["concurrent_sessions"]


def test_what_was_used_before_counts(tier):
    make_customer(tier, NUMBERS[0])
    call("month", datetime(2024, 3, 1, 1, tzinfo=UTC), 300)
    call("now", NOW, 300)

    limits = Limit(Metric.CALL_MINUTES, Period.MONTH, 5)
    assert reasons(replayed(tier, limits)) == ["call_minutes_month"]


def test_what_limits_had_no_part_in_stays(tier):
    customer = make_customer(tier, NUMBERS[0], status="paused")
    call("1", NOW, 0)
    customer.status = "active"
    customer.save()
    call("2", NOW, 60)

    assert [session.pk for session, _ in replayed(tier)] == [Session.objects.get(session_id="2").pk]


def test_overrides_stay(tier):
    customer = make_customer(tier, NUMBERS[0])
    make_override(customer, limit("call_minutes", 5), valid_until=NOW + timedelta(minutes=30))
    call("1", NOW, 240)
    call("2", NOW + timedelta(minutes=10), 120)
    call("3", NOW + timedelta(minutes=20), 0)
    call("4", NOW + timedelta(minutes=30), 60)

    assert reasons(replayed(tier, MINUTES_A_DAY)) == ["allowed", "allowed", "call_minutes_day", "allowed"]


SCOPES: list[dict[str, Any]] = [{}, {}, {"channel": "telephony"}, {"channel": "chat"}, {"agent": "1"}]
LIMITS = st.lists(
    st.builds(
        lambda what, amount, scope, hard: limit(what[0], amount, what[1], **scope, hard=hard),
        st.sampled_from(
            [
                ("concurrent_sessions", ""),
                *((metric, period) for metric in ("call_minutes", "sessions") for period in Period if period),
            ]
        ),
        st.integers(0, 12),
        st.sampled_from(SCOPES),
        st.sampled_from([True, True, False]),
    ),
    max_size=5,
    unique_by=lambda row: (row["metric"], row["period"], row.get("channel"), row.get("agent")),
)
TOP_UPS = st.lists(
    st.tuples(
        st.sampled_from(["call_minutes", "sessions"]),
        st.integers(1, 8),
        st.sampled_from([-99, -99, 1, 20]),
        st.sampled_from([None, 100, 3, 30]),
    ),
    max_size=3,
)
# Which session, its begin or its end, how long after the last event it is received, how much earlier it states to be.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 7),
        st.sampled_from(["begin", "begin", "end"]),
        st.sampled_from([0, 1, 30, 240, 1800, 20_000, 100_000]),
        st.sampled_from([0, 0, 0, 45, 3000, -60]),
        st.sampled_from([None, 0, 1, 59, 240, 900, 7200]),
    ),
    min_size=1,
    max_size=30,
)


@pytest.mark.django_db
@settings(max_examples=examples(0.3))
@given(rows=LIMITS, draft=LIMITS, own=LIMITS, top_ups=TOP_UPS, steps=STEPS)
def test_the_limits_that_were_in_force_decide_as_was_decided(rows, draft, own, top_ups, steps):
    """And two sets of limits that are replayed together decide as each does alone."""
    with transaction.atomic():
        try:
            _run(rows, draft, own, top_ups, steps)
        finally:
            transaction.set_rollback(True)


def _run(rows: Any, draft: Any, own: Any, top_ups: Any, steps: list[tuple[int, str, int, int, Any]]) -> None:
    make_defaults()
    make_channel("chat")
    make_channel("telephony")
    tier = make_tier("tried", *rows, call_hold_minutes=2)
    make_customer(tier, NUMBERS[0], time_zone="Europe/Madrid")
    other = make_customer(tier, NUMBERS[1], time_zone="Pacific/Auckland")
    for row in own:
        make_override(other, row)
    for metric, amount, since, hours in top_ups:
        valid_from = NOW + timedelta(hours=since)
        until = None if hours is None else valid_from + timedelta(hours=hours)
        make_top_up(other, metric, amount, valid_from=valid_from, valid_until=until)
    received_at, seen = NOW, set()
    for which, kind, later, behind, duration in steps:
        if (which, kind) in seen:  # of ends that differ the replay knows the one that counts alone
            continue
        seen.add((which, kind))
        received_at += timedelta(seconds=later, microseconds=1)
        at = (received_at - timedelta(seconds=behind)).replace(microsecond=0)
        more = {"kind": "chat" if which % 3 == 0 else "telephony", "agentId": which % 2}
        if kind == "end" and duration is not None:
            more["duration"] = duration
        deliver(kind, f"{which}", NUMBERS[which % 4 == 0], at, received_at, **more)
    limits = tuple(row.as_limit() for row in tier.limits.all())
    others = tuple(Limit(**row) for row in (as_values(row) for row in draft))
    asked = Asked(tier.pk, NOW - timedelta(days=2), NOW + timedelta(days=30), (limits, others))

    found = list(replayed_customers(asked, [one.pk for one in Customer.objects.order_by("pk")], 100))

    decided = {session.pk: now.reason.value for one in found for session, (now, _) in one.verdicts}
    assert decided == dict(Session.objects.filter(begin_received_at__isnull=False).values_list("pk", "reason"))
    for number, line in enumerate(asked.lines):
        alone = list(replayed_customers(replace(asked, lines=(line,)), [one.customer_id for one in found], 100))
        assert [[verdict for _, [verdict] in one.verdicts] for one in alone] == [
            [verdicts[number] for _, verdicts in one.verdicts] for one in found
        ]


def as_values(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "metric": Metric(row["metric"]), "period": Period(row["period"])}


# With top-ups


def test_top_ups_let_in_what_a_limit_would_deny_until_they_are_drawn(tier):
    customer = make_customer(tier, NUMBERS[0])
    make_top_up(customer, "call_minutes", 7, valid_from=NOW - timedelta(days=1))
    for number in range(4):
        call(str(number), NOW + timedelta(minutes=20 * number), 300)

    # Ten minutes are the limit's; the third draws five of the top-up's seven, the fourth the rest.
    assert reasons(replayed(tier, MINUTES_A_DAY)) == ["allowed"] * 4
    assert reasons(replayed(tier, Limit(Metric.CALL_MINUTES, Period.DAY, 5))) == [*["allowed"] * 3, "call_minutes_day"]


def test_what_was_drawn_before_the_days_that_are_replayed_is_drawn(tier):
    customer = make_customer(tier, NUMBERS[0])
    tier.limits.update(amount=0)
    make_top_up(customer, "call_minutes", 6, valid_from=NOW - timedelta(days=99))
    call("long ago", NOW - timedelta(days=60), 300)
    call("now", NOW, 60)
    call("denied", NOW + timedelta(minutes=10), 0)

    assert reasons(replayed(tier, Limit(Metric.CALL_MINUTES, Period.DAY, 0))) == ["allowed", "call_minutes_day"]


def test_a_top_up_that_only_the_draft_draws_on_is_left_for_nobody_else(tier):
    """Sessions: the first of two lines draws on it where the other does not, and both go on by their own."""
    customer = make_customer(tier, NUMBERS[0])
    make_top_up(customer, "sessions", 1, valid_from=NOW - timedelta(days=1))
    for number in range(3):
        call(str(number), NOW + timedelta(minutes=20 * number), 60)
    lines = (), (Limit(Metric.SESSIONS, Period.WEEK, 1),)
    asked = Asked(tier.pk, NOW - timedelta(days=1), NOW + timedelta(days=1), lines)

    [found] = replayed_customers(asked, [customer.pk], 0)

    assert [[verdict.reason.value for verdict in verdicts] for _, verdicts in found.verdicts] == [
        ["allowed", "allowed"],
        ["allowed", "allowed"],
        ["allowed", "sessions_week"],
    ]


def test_what_an_open_call_draws_on_a_top_up_it_uses_of_that_and_not_of_the_limit(tier):
    customer = make_customer(tier, NUMBERS[0], time_zone="UTC")
    tier.limits.update(amount=10)
    evening = NOW.replace(hour=23)
    top_up = make_top_up(customer, "call_minutes", 15, valid_from=NOW - timedelta(days=1))
    call("uses up", evening, 600)
    deliver("begin", "drawing", NUMBERS[0], evening + timedelta(minutes=30), evening + timedelta(minutes=30))
    call("nothing left", evening + timedelta(minutes=50), 0)
    call("after midnight", evening + timedelta(minutes=90), 60)

    assert reasons(replayed(tier, MINUTES_A_DAY)) == ["allowed", "allowed", "call_minutes_day", "allowed"]
    assert_decided_as_it_was(tier)
    assert top_up.use.call_seconds == 0


def test_sessions_drawn_before_the_days_that_are_replayed_are_drawn(tier):
    customer = make_customer(tier, NUMBERS[0])
    tier.limits.create(metric="sessions", period="week", amount=0)
    make_top_up(customer, "sessions", 3, valid_from=NOW - timedelta(days=99))
    call("long ago", NOW - timedelta(days=60), 60)
    for number in range(3):
        call(str(number), NOW + timedelta(minutes=20 * number), 60)

    found = replayed(tier, Limit(Metric.SESSIONS, Period.WEEK, 0))

    assert reasons(found) == ["allowed", "allowed", "sessions_week"]


def test_a_session_whose_end_came_first_is_decided_without_its_own_use(tier):
    make_customer(tier, NUMBERS[0])
    deliver("end", "late", NUMBERS[0], NOW + timedelta(minutes=10), NOW + timedelta(minutes=10), duration=600)
    deliver("begin", "late", NUMBERS[0], NOW, NOW + timedelta(minutes=11))
    call("next", NOW + timedelta(minutes=20), 60)

    assert reasons(replayed(tier, MINUTES_A_DAY)) == ["allowed", "call_minutes_day"]


def test_an_end_that_came_first_counts_on_the_day_that_it_says_until_the_begin_comes(tier):
    make_customer(tier, NUMBERS[0], time_zone="UTC")
    tier.limits.create(metric="sessions", period="day", amount=1)
    midnight = NOW.replace(hour=0) + timedelta(days=1)
    end, between, late = (midnight + timedelta(minutes=minutes) for minutes in (30, 40, 50))
    deliver("end", "late", NUMBERS[0], end, end, duration=60)
    call("between", between, 0)
    deliver("begin", "late", NUMBERS[0], midnight - timedelta(minutes=1), late)

    assert Session.objects.get(session_id="between").reason == "sessions_day"
    assert_decided_as_it_was(tier)


def test_lines_that_part_go_on_each_by_its_own(tier):
    customer = make_customer(tier, NUMBERS[0])
    tier.limits.all().delete()
    at = [NOW + timedelta(minutes=minutes) for minutes in range(60)]
    deliver("begin", "1", NUMBERS[0], at[0], at[0])
    deliver("begin", "2", NUMBERS[0], at[5], at[5])
    deliver("end", "1", NUMBERS[0], at[10], at[10], duration=600)
    call("3", at[15], 60)
    deliver("end", "2", NUMBERS[0], at[25], at[25], duration=1200)
    call("4", at[40], 60)
    minutes = Limit(Metric.CALL_MINUTES, Period.DAY, 30)
    lines = (Limit(Metric.CONCURRENT_SESSIONS, Period.NONE, 1), minutes), (minutes,)
    asked = Asked(tier.pk, NOW - timedelta(days=1), NOW + timedelta(days=1), lines)

    [found] = replayed_customers(asked, [customer.pk], 0)

    assert [[verdict.reason.value for verdict in verdicts] for _, verdicts in found.verdicts] == [
        ["allowed", "allowed"],
        ["concurrent_sessions", "allowed"],
        # The second is open in the second line alone, and so are its twenty minutes.
        ["allowed", "allowed"],
        ["allowed", "call_minutes_day"],
    ]


def assert_decided_as_it_was(tier: Tier) -> None:
    found = replayed(tier, *(row.as_limit() for row in tier.limits.all()), since=NOW - timedelta(days=2))
    assert {session.pk: verdict.reason.value for session, verdict in found} == dict(
        Session.objects.filter(begin_received_at__isnull=False).values_list("pk", "reason")
    )


# What is added up, and the worker's job


def draft_with(tier: Tier, minutes: int) -> TierChange:
    draft = start_draft(tier, None)
    draft.limits.filter(metric="call_minutes").update(amount=minutes)
    return draft


def three_calls(number: str, *, seconds: int = 480) -> None:
    """Of eight minutes: the limit of twenty lets in all three, one of fifteen two."""
    now = timezone.now().replace(hour=12) - timedelta(days=2)
    for index in range(3):
        call(f"{number}-{index}", now + timedelta(minutes=30 * index), seconds, number)


def test_a_replay_adds_up_who_would_have_been_denied(tier):
    for number in NUMBERS:
        make_customer(tier, number)
        three_calls(number)
    replay = ask_for_replay(draft_with(tier, 15), 7, None)

    replay_further(lambda: False)

    replay.refresh_from_db()
    summary = Summary.of(replay.result)
    assert (replay.share_done, replay.problem, replay.customers, replay.customers_done) == (1.0, "", 2, 2)
    assert (summary.sessions, summary.customers, summary.touched_customers, summary.unlike) == (6, 2, 2, 0)
    assert summary.now == Line(let_in=6, call_seconds=6 * 480)
    assert summary.then == Line(let_in=4, denied=2, call_seconds=4 * 480, customers=2, reasons={"call_minutes_day": 2})
    assert (summary.denied, summary.let_in) == (Turned(sessions=2, customers=2, call_seconds=960), Turned())
    assert {(one.reason, one.is_let_in, one.call_seconds) for one in summary.changed} == {
        ("call_minutes_day", False, 480)
    }
    assert summary.changed == sorted(summary.changed, reverse=True)
    assert {one.customer for one in summary.touched} == set(Customer.objects.values_list("pk", flat=True))


def test_a_replay_tells_who_would_have_been_let_in_with_a_guess(tier):
    make_customer(tier, NUMBERS[0])
    tier.limits.update(amount=15)
    three_calls(NUMBERS[0])
    replay = ask_for_replay(draft_with(tier, 20), 7, None)

    replay_further(lambda: False)

    replay.refresh_from_db()
    summary = Summary.of(replay.result)
    assert summary.let_in == Turned(sessions=1, customers=1, call_seconds=480, guessed=1)
    assert [(one.is_let_in, one.is_guessed) for one in summary.changed] == [(True, True)]


def test_what_was_decided_by_other_limits_is_told_apart(tier):
    make_customer(tier, NUMBERS[0])
    tier.limits.update(amount=15)
    three_calls(NUMBERS[0])
    tier.limits.update(amount=20)
    replay = ask_for_replay(draft_with(tier, 20), 7, None)

    replay_further(lambda: False)

    replay.refresh_from_db()
    summary = Summary.of(replay.result)
    assert (summary.unlike, summary.changed) == (1, [])


def test_a_replay_that_is_ended_goes_on_where_it_was(tier, monkeypatch):
    monkeypatch.setattr("sessions_app.replay.reading.SESSIONS_AT_ONCE", 1)
    for number in NUMBERS:
        make_customer(tier, number)
        three_calls(number)
    replay = ask_for_replay(draft_with(tier, 15), 7, None)
    asked: list[bool] = []

    def after_the_first() -> bool:
        asked.append(True)
        return len(asked) > 2

    replay_further(after_the_first)
    replay.refresh_from_db()
    assert (replay.customers_done, replay.share_done, Summary.of(replay.result).sessions) == (1, 0.5, 3)

    replay_further(lambda: False)
    replay.refresh_from_db()
    assert (replay.share_done, Summary.of(replay.result).sessions) == (1.0, 6)


def test_asked_again_it_begins_anew_and_what_was_under_way_stores_nothing(tier):
    make_customer(tier, NUMBERS[0])
    three_calls(NUMBERS[0])
    draft = draft_with(tier, 15)
    old = ask_for_replay(draft, 7, None)
    draft.limits.update(amount=20)
    new = ask_for_replay(draft, 7, None)
    assert new.pk == old.pk

    running._replay(old, lambda: False)
    new.refresh_from_db()
    assert (new.result, new.finished_at, new.usual_seconds) == ({}, None, None)

    replay_further(lambda: False)
    new.refresh_from_db()
    assert Summary.of(new.result).denied == Turned()
    again = ask_for_replay(draft, 7, None)
    assert (again.result, again.customers_done, again.finished_at) == ({}, 0, None)


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_asked_for_at_once_there_is_one(tier):
    draft = draft_with(tier, 15)
    together = threading.Barrier(8)

    def ask() -> int:
        together.wait()
        try:
            return ask_for_replay(draft, 7, None).pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        asked = {one.result() for one in [pool.submit(ask) for _ in range(8)]}

    assert len(asked) == 1


def test_of_two_processes_that_work_out_the_same_one_stores(tier, monkeypatch):
    monkeypatch.setattr("sessions_app.replay.reading.SESSIONS_AT_ONCE", 1)
    for number in NUMBERS:
        make_customer(tier, number)
        three_calls(number)
    replay = ask_for_replay(draft_with(tier, 15), 7, None)
    slow = type(replay).objects.get(pk=replay.pk)
    asked: list[bool] = []
    replay_further(lambda: asked.append(True) or len(asked) > 2)
    stored = type(replay).objects.values().get()
    assert stored["customers_done"] == 1

    running._replay(slow, lambda: False)

    assert type(replay).objects.values().get() == stored


def test_a_replay_that_fails_says_so_and_holds_up_no_other(tier, monkeypatch):
    make_customer(tier, NUMBERS[0])
    three_calls(NUMBERS[0])
    draft = draft_with(tier, 15)
    first, second = (ask_for_replay(draft, days, None) for days in (7, 30))
    real = running.replayed_customers

    def fail_once(asked, *more):
        if asked.since == first.since:
            raise ValueError("out of order")
        return real(asked, *more)

    monkeypatch.setattr(running, "replayed_customers", fail_once)
    replay_further(lambda: False)

    for replay in (first, second):
        replay.refresh_from_db()
    assert (first.problem, first.share_done) == (running.FAILED, 1.0)
    assert (second.problem, Summary.of(second.result).sessions) == ("", 3)


def test_it_is_of_now_until_the_draft_or_the_tier_changes(tier):
    draft = draft_with(tier, 15)
    replay = ask_for_replay(draft, 7, None)
    assert is_of_now(replay)

    draft.limits.update(amount=16)
    replay = type(replay).objects.get()
    assert not is_of_now(replay)

    draft.limits.update(amount=15)
    tier.limits.update(amount=21)
    assert not is_of_now(type(replay).objects.get())


def test_who_left_the_tier_meanwhile_is_replayed_too(tier):
    customer = make_customer(tier, NUMBERS[0])
    three_calls(NUMBERS[0])
    customer.tier = make_tier("other")
    customer.save()
    replay = ask_for_replay(draft_with(tier, 15), 7, None)

    replay_further(lambda: False)

    replay.refresh_from_db()
    assert Summary.of(replay.result).denied.sessions == 1
