"""`manage.py demo`: believable, repeatable, and only in a database that is its own."""

import io
import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import F

from automations.models import Attempt, Delivery, Destination, Firing, Rule, Source
from customers.defaults import make_defaults
from customers.models import Agent, Customer, Policy, Tier, TierLimit
from sessions_app.demo.making import Plan, is_made, make_demo
from sessions_app.demo.rhythm import OFFICE, PRIVATE, arrivals, duration_seconds
from sessions_app.models import Session, WebhookEvent
from tests.builders import assert_usage_is_sound, make_customer, make_tier
from tests.following import judge_and_send

UNTIL = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)
SMALL = ["--days", "10", "--customers", "40", "--until", "2026-03-15T10:30:00Z"]


@pytest.fixture(autouse=True)
def _quiet_log(caplog):
    caplog.set_level(logging.WARNING, "frontdesk.webhook")


def test_a_small_demo_has_of_everything_and_can_be_recounted(db, capsys):
    make_defaults()

    call_command("demo", *SMALL)

    assert_usage_is_sound()
    states = {state for state in Session.State.values if Session.objects.in_state(state, UNTIL).exists()}
    assert states == {"open", "ended", "denied", "missing_end"}
    reasons = Counter(Session.objects.values_list("reason", flat=True))
    assert reasons["allowed"] > 0.7 * sum(reasons.values())
    assert len(reasons) >= 7
    assert set(WebhookEvent.objects.values_list("verdict", flat=True)) == set(WebhookEvent.Verdict.values)
    assert {"telephony", "whatsapp", "web", "chat"} == set(Session.objects.values_list("channel", flat=True))
    assert Agent.objects.count() == 4
    assert Session.objects.filter(is_test=True).exists()
    assert Session.objects.filter(phone_key="", external_id="", allowed=True).exists()
    assert Customer.objects.filter(source="first_contact").exists()
    assert not Session.objects.filter(number_received__contains=" ").exists()
    assert len(set(Session.objects.values_list("time_zone", flat=True))) > 3
    assert f"{Session.objects.count():,} sessions" in capsys.readouterr().out


def test_a_demo_shows_what_followed_and_sends_nothing(db, capsys):
    make_defaults()
    call_command("demo", *SMALL)

    assert Destination.objects.count() == 4
    assert not Destination.objects.filter(paused_at=None).exists()
    addresses = [
        *Destination.objects.values_list("address", flat=True),
        *Source.objects.values_list("address", flat=True),
    ]
    assert all(".example/" in address for address in addresses if address)
    assert not Source.objects.filter(is_active=True).exists()
    states = set(Delivery.objects.values_list("state", flat=True))
    assert states == {"delivered", "waiting", "failed", "unknown", "skipped"}
    assert set(Firing.objects.values_list("rule", flat=True)) == set(Rule.objects.values_list("pk", flat=True))
    assert not Firing.objects.exclude(
        fired_at__range=(UNTIL - timedelta(days=8), UNTIL + timedelta(minutes=1))
    ).exists()
    assert Attempt.objects.exists()
    assert Delivery.objects.exclude(kept_link="").exists()
    assert "Look around at http" in capsys.readouterr().out
    assert judge_and_send() == 0


def test_a_demo_is_dated_by_its_own_clock(db):
    make_defaults()

    make_demo(Plan(1, 3, 20, UNTIL), lambda share, sessions: None)

    start = UNTIL - timedelta(days=3)
    assert not Session.objects.exclude(started_at__range=(start, UNTIL)).exists()
    assert not WebhookEvent.objects.exclude(received_at__range=(start, UNTIL)).exists()
    assert not Session.objects.filter(begin_received_at__lt=F("begin_stated_at")).exists()
    assert Customer.objects.filter(source="first_contact", created_at__range=(start, UNTIL)).exists()
    assert not Customer.objects.filter(created_at__gt=UNTIL).exists()
    assert not Customer.history.filter(history_date__gt=UNTIL).exists()
    assert not Tier.history.filter(history_date__gt=start).exists()
    assert Policy.history.earliest("history_id") == Policy.history.earliest("history_date")


def test_the_same_plan_makes_the_same_sessions_and_another_seed_others(db):
    first, again, other = sessions_of(seed=7), sessions_of(seed=7), sessions_of(seed=8)

    assert first == again
    assert not {row[0] for row in first} & {row[0] for row in other}


def test_made_once_it_stays_as_it_is(db, capsys):
    make_defaults()
    tiny = ["--days", "1", "--customers", "5"]
    call_command("demo", *tiny)
    made = Session.objects.count()

    call_command("demo", *tiny, "--seed", "2")

    assert Session.objects.count() == made
    assert "holds a demo already" in capsys.readouterr().out


@pytest.mark.parametrize(
    "foreign, found",
    [
        (lambda: make_customer(Tier.objects.get()), "1 customers"),
        (lambda: make_tier("gold"), "1 tiers"),
        (
            lambda: TierLimit.objects.create(tier=Tier.objects.get(), metric="sessions", period="day", amount=1),
            "1 limits",
        ),
    ],
)
def test_a_database_with_other_data_is_refused(db, foreign, found):
    make_defaults()
    foreign()

    with pytest.raises(CommandError, match=f"no demo's \\({found}.*an empty one"):
        call_command("demo", *SMALL)

    assert not Session.objects.exists()


def test_a_database_with_sessions_of_strangers_is_refused(livetok):
    livetok.begin(phoneNumber=None)

    with pytest.raises(CommandError, match=r"\(1 sessions\)"):
        call_command("demo", *SMALL)


def test_an_interrupted_demo_leaves_nothing_behind(db):
    make_defaults()

    def interrupt(share: float, sessions: int) -> None:
        if sessions >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo(Plan(1, 2, 10, UNTIL), interrupt)

    assert not is_made()
    assert not Customer.objects.exists()
    assert not WebhookEvent.objects.exists()
    assert Policy.objects.get().unknown_callers == "serve"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--days", "0"], "--days: give"),
        (["--customers", "2000"], "--customers: give"),
        (["--until", "later"], "--until: give"),
    ],
)
def test_bad_input_is_an_error_that_names_the_option(arguments, message):
    with pytest.raises(CommandError, match=f"^{message}"):
        call_command("demo", *arguments)


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(db):
    make_defaults()
    err = io.StringIO()

    call_command("demo", "--days", "1", "--customers", "5", stderr=err)

    lines = err.getvalue().splitlines()
    assert 2 <= len(lines) <= 11
    assert lines[0].startswith("  0 %")
    assert lines[-1].startswith("100 %")
    assert lines[-1].endswith(" sessions")


def test_offices_call_in_their_own_working_hours_and_traffic_grows():
    zone = ZoneInfo("America/New_York")
    start = UNTIL - timedelta(days=84)

    moments = list(arrivals(Random(1), OFFICE, zone, 10, start, UNTIL))

    local = [moment.astimezone(zone) for moment in moments]
    assert sum(8 <= moment.hour < 18 for moment in local) > 0.85 * len(local)
    assert sum(moment.weekday() >= 5 for moment in local) < 0.1 * len(local)
    assert sum(moment > UNTIL - timedelta(days=28) for moment in moments) > 1.4 * sum(
        moment < start + timedelta(days=28) for moment in moments
    )
    assert 0.85 < len(moments) / (84 * 10 * sum(OFFICE.weekdays) / 7) < 1.15


def test_durations_are_skewed_as_real_ones_are():
    rng = Random(1)

    seconds = sorted(duration_seconds(rng, "telephony") for _ in range(4000))

    median, mean = seconds[2000], sum(seconds) / 4000
    assert 160 < median < 220
    assert mean > 1.2 * median
    assert seconds[0] >= 4
    assert len(PRIVATE.hours) == 24


def sessions_of(seed: int) -> list[tuple]:
    """All that a demo of this seed makes of its sessions; the database forgets it again."""
    with transaction.atomic():
        make_defaults()
        make_demo(Plan(seed, 2, 15, UNTIL), lambda share, sessions: None)
        rows = Session.objects.order_by("session_id", "number").values_list(
            "session_id", "allowed", "reason", "started_at", "duration_seconds", "flags", "begin_body", "end_body"
        )
        found = [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in rows]
        transaction.set_rollback(True)
    return found
