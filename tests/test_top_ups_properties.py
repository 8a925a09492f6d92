"""Top-ups in any order, and against a second account of their rules, worked out the plain way."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import example, given, settings
from hypothesis import strategies as st

from customers.access import find_customer
from customers.defaults import make_defaults
from customers.limits import MOST_AMOUNT
from customers.models import Customer, Tier, TopUp
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.payloads import read_event
from sessions_app.models import DailyUsage, Session, TopUpUse
from sessions_app.recording.reading import read_begin
from sessions_app.usage.standing import standings, with_limits
from sessions_app.usage.used import amount_of, usage_at
from sessions_app.webhook.reception import receive
from tests.builders import (
    NUMBER,
    assert_usage_is_sound,
    begin_body,
    end_body,
    limit,
    make_channel,
    make_customer,
    make_tier,
    make_top_up,
)
from tests.examples import examples
from tests.test_order_free import Event, customers, deliveries, once, traffic  # noqa: F401

pytestmark = [pytest.mark.property, pytest.mark.django_db]

NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)


def drawn_after(events: Iterable[Event]) -> tuple[Any, ...]:
    """What events have left behind in sums and in sessions; nothing is left of them afterwards."""
    with transaction.atomic():
        for event in events:
            event.deliver()
        assert_usage_is_sound()
        left = (
            {
                (row.customer_id, row.day, row.channel, row.agent): amount_of(row)
                for row in DailyUsage.objects.exclude(sessions=0, seconds=0, call_seconds=0)
                if row.customer.source != Customer.Source.FIRST_CONTACT
            },
            {use.pk: (use.sessions, use.call_seconds) for use in TopUpUse.objects.all()},
            {
                (session.session_id, session.is_test, session.number): (
                    session.minutes_top_up_id,
                    session.sessions_top_up_id,
                )
                for session in Session.objects.all()
            },
        )
        transaction.set_rollback(True)
    return left


def test_any_order_and_any_repetition_draw_the_same(customers):  # noqa: F811
    """Where all that a limit has is what top-ups give, and they are never used up."""
    tier = Tier.objects.get(slug="plain")
    tier.limits.create(metric="call_minutes", period="day", amount=0)
    tier.limits.create(metric="sessions", period="week", amount=0)
    for number, customer in enumerate(tier.customers.order_by("pk")):
        for metric in ("call_minutes", "sessions")[: number + 1]:
            make_top_up(customer, metric, MOST_AMOUNT)
    seen = set()

    @settings(max_examples=examples(0.25))
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        events = data.draw(traffic())
        expected = drawn_after(once(events))
        assert drawn_after(data.draw(deliveries(events))) == expected
        seen.update(bool(seconds) for _, seconds in expected[1].values())

    check()
    assert seen == {False, True}


@dataclass
class Call:
    """A session as the plain account has it."""

    started_at: datetime
    counts: bool
    minutes_from: int | None = None
    sessions_from: int | None = None
    seconds: int | None = None

    def is_open_at(self, now: datetime) -> bool:
        return self.seconds is None and abs(now - self.started_at) < timedelta(hours=4)


@dataclass
class Account:
    """The rules of docs/decisions.md, gone through session by session."""

    minutes_a_day: int
    sessions_a_week: int
    hold_minutes: int
    top_ups: list[TopUp]
    calls: list[Call] = field(default_factory=list)

    def decide(self, now: datetime, counts: bool) -> Call | str:
        new = Call(now, counts)
        if self._sessions(now) >= self.sessions_a_week:
            new.sessions_from = self._top_up("sessions", now)
            if new.sessions_from is None:
                return "sessions_week"
        if counts and self._minutes(now) >= self.minutes_a_day:
            new.minutes_from = self._top_up("call_minutes", now)
            if new.minutes_from is None:
                return "call_minutes_day"
        return new

    def _sessions(self, now: datetime) -> int:
        def week(moment: datetime) -> tuple[int, int]:
            return moment.isocalendar()[:2]

        return sum(call.sessions_from is None and week(call.started_at) == week(now) for call in self.calls)

    def _minutes(self, now: datetime) -> float:
        midnight = now.replace(hour=0, minute=0, second=0)
        seconds = 0.0
        for call in self.calls:
            if not call.counts or call.minutes_from is not None:
                continue
            if call.is_open_at(now):
                seconds += max((now - max(call.started_at, midnight)).total_seconds(), self.hold_minutes * 60)
            elif call.seconds is not None:
                ended_at = call.started_at + timedelta(seconds=call.seconds)
                inside = min(ended_at, midnight + timedelta(days=1)) - max(call.started_at, midnight)
                seconds += max(0.0, inside.total_seconds())
        return seconds / 60

    def _top_up(self, metric: str, now: datetime) -> int | None:
        valid = [one for one in self.top_ups if one.metric == metric and one.is_valid_at(now)]
        far = datetime(9999, 1, 1, tzinfo=UTC)
        for one in sorted(valid, key=lambda one: (one.valid_until or far, one.pk)):
            if self.left(one, now) > 0:
                return one.pk
        return None

    def left(self, top_up: TopUp, now: datetime) -> float:
        """Sessions, or seconds."""
        if top_up.metric == "sessions":
            return top_up.amount - sum(call.sessions_from == top_up.pk for call in self.calls)
        drawing = [call for call in self.calls if call.minutes_from == top_up.pk]
        recorded = sum(call.seconds or 0 for call in drawing)
        held = sum(
            max((now - call.started_at).total_seconds(), self.hold_minutes * 60)
            for call in drawing
            if call.is_open_at(now)
        )
        return top_up.amount * 60 - recorded - held


MINUTES = st.integers(-300, 900)
STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "begin", "end"]), MINUTES, st.integers(0, 20), st.booleans()), max_size=14
)
TOP_UPS = st.lists(
    st.tuples(
        st.sampled_from(["call_minutes", "sessions"]),
        st.integers(1, 12),
        st.none() | MINUTES,
        st.none() | MINUTES,
    ),
    max_size=4,
)


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def send(body: dict[str, Any]) -> dict[str, Any]:
    reply = receive(json.dumps(body).encode(), route="", received_at=NOON, delivery=Delivery())
    assert reply.status == 200
    return json.loads(reply.content or b"{}")


def make_all(minutes_a_day: int, sessions_a_week: int, hold_minutes: int, top_ups: Iterable[Any]) -> Customer:
    tier = make_tier(
        "drawn",
        limit("call_minutes", minutes_a_day),
        limit("sessions", sessions_a_week, "week"),
        call_hold_minutes=hold_minutes,
    )
    customer = make_customer(tier)
    for metric, amount, since, until in top_ups:
        valid_from = at(since) if since is not None else at(-9999)
        if until is None or at(until) > valid_from:
            make_top_up(
                customer, metric, amount, valid_from=valid_from, valid_until=None if until is None else at(until)
            )
    return customer


def test_decisions_and_balances_are_those_of_the_plain_account(db):
    make_defaults()
    make_channel("telephony")
    make_channel("chat")
    seen: set[Any] = set()

    @settings(max_examples=examples(0.6))
    @given(st.integers(0, 12), st.integers(0, 4), st.integers(1, 3), TOP_UPS, STEPS)
    # Which others are tried depends on the modules that are loaded: these draw on one top-up, on the other, on both.
    @example(0, 4, 1, [("call_minutes", 5, None, None)], [("begin", 0, 0, True)])
    @example(9, 0, 1, [("sessions", 5, None, None)], [("begin", 0, 0, True)])
    @example(0, 0, 1, [("sessions", 5, None, None), ("call_minutes", 5, None, None)], [("begin", 0, 0, True)] * 6)
    def check(minutes_a_day: int, sessions_a_week: int, hold_minutes: int, top_ups: Any, steps: Any) -> None:
        with transaction.atomic():
            customer = make_all(minutes_a_day, sessions_a_week, hold_minutes, top_ups)
            account = Account(minutes_a_day, sessions_a_week, hold_minutes, list(customer.top_ups.order_by("pk")))
            names: list[tuple[str, Call]] = []
            for number, (what, minutes, length, counts) in enumerate(steps):
                now = at(minutes)
                if what == "begin":
                    seen.add(_begin(account, names, f"s{number}", now, counts))
                elif names:
                    name, call = names[length % len(names)]
                    call.seconds = length * 45
                    send(end_body(sessionId=name, timestamp=at(number).isoformat(), duration=call.seconds))
                _assert_balances(account, customer, now)
            assert_usage_is_sound()
            transaction.set_rollback(True)

    check()
    reasons = {(reason, minutes, sessions) for reason, minutes, sessions in seen}
    assert {"allowed", "sessions_week", "call_minutes_day"} == {reason for reason, _, _ in reasons}
    assert {(minutes, sessions) for reason, minutes, sessions in reasons if reason == "allowed"} == {
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    }


def _begin(account: Account, names: list[Any], name: str, now: datetime, counts: bool) -> tuple[str, bool, bool]:
    expected = account.decide(now, counts)
    send(begin_body(sessionId=name, timestamp=now.isoformat(), kind="telephony" if counts else "chat"))
    stored = Session.objects.get(session_id=name)
    ids = stored.minutes_top_up_id, stored.sessions_top_up_id
    if isinstance(expected, str):
        assert (stored.reason, ids) == (expected, (None, None))
    else:
        assert (stored.reason, ids) == ("allowed", (expected.minutes_from, expected.sessions_from))
        account.calls.append(expected)
        names.append((name, expected))
    return stored.reason, ids[0] is not None, ids[1] is not None


def _assert_balances(account: Account, customer: Customer, now: datetime) -> None:
    body = json.dumps(begin_body(sessionId="new", timestamp=now.isoformat(), phoneNumber=NUMBER)).encode()
    reading = read_begin(read_event(body, route="", received_at=NOON))
    found = find_customer(NUMBER, "")
    usage = usage_at(found.pk, now, reading.access.zone, found.tier.call_hold_minutes)
    assert reading.usage.balances == usage.balances
    [standing] = standings(list(with_limits(Customer.objects.filter(pk=customer.pk), now)), now).values()
    assert standing.usage == usage
    lefts = {balance.top_up_id: balance.left_undivided for balance in usage.balances}
    assert lefts == {one.pk: max(0, account.left(one, now)) for one in account.top_ups if one.is_valid_at(now)}
