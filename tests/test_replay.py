"""Replay: what would have been decided with other limits."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from customers.defaults import make_defaults
from customers.limits import Limit, Metric, Period
from customers.models import Tier
from sessions_app.livetok.delivery import Delivery
from sessions_app.models import Session
from sessions_app.replay.engine import Verdict
from sessions_app.replay.reading import Asked, customers_of, replayed_customers, usual_seconds
from sessions_app.webhook.reception import receive
from tests.builders import limit, make_channel, make_customer, make_override, make_tier
from tests.examples import examples

NOW = datetime(2024, 3, 29, 12, tzinfo=UTC)
NUMBERS = ("+34600000001", "+64210000002")
MINUTES_A_DAY = Limit(Metric.CALL_MINUTES, Period.DAY, 10)


def deliver(event: str, session_id: str, number: str, at: datetime, received_at: datetime, **more: Any) -> None:
    body = {"event": f"session.{event}", "sessionId": session_id, "phoneNumber": number, "timestamp": at.isoformat()}
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
@given(rows=LIMITS, own=LIMITS, steps=STEPS)
def test_the_limits_that_were_in_force_decide_as_was_decided(rows, own, steps):
    with transaction.atomic():
        try:
            _run(rows, own, steps)
        finally:
            transaction.set_rollback(True)


def _run(rows: list[dict[str, Any]], own: list[dict[str, Any]], steps: list[tuple[int, str, int, int, Any]]) -> None:
    make_defaults()
    make_channel("chat")
    make_channel("telephony")
    tier = make_tier("tried", *rows, call_hold_minutes=2)
    make_customer(tier, NUMBERS[0], time_zone="Europe/Madrid")
    other = make_customer(tier, NUMBERS[1], time_zone="Pacific/Auckland")
    for row in own:
        make_override(other, row)
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

    found = {
        session.pk: verdict.reason.value for session, verdict in replayed(tier, *limits, since=NOW - timedelta(days=2))
    }

    assert found == dict(Session.objects.filter(begin_received_at__isnull=False).values_list("pk", "reason"))
