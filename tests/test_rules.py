"""When rules fire: on which events, once, and not on what is older than they are."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from automations.models import Delivery, Firing, Occurrence, Rule, Silence
from automations.rules.digests import send_digests
from automations.rules.judging import judge
from automations.rules.matching import triggers_of
from automations.rules.missing_ends import tell_missing_ends
from automations.rules.silence import look_for_silence
from customers.models import Customer, Policy
from sessions_app.models import Session, WebhookEvent
from tests.builders import limit, make_customer, make_tier, set_policy, the_session
from tests.following import make_destination, make_rule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def destination(livetok):
    return make_destination()


def fired(rule):
    judge.judge()
    return list(Firing.objects.filter(rule=rule).order_by("pk").values_list("session__session_id", flat=True))


def sessions():
    return list(Session.objects.select_related("customer").order_by("pk"))


def now_text(**ago):
    return (timezone.now() - timedelta(**ago)).isoformat()


def sent_ids():
    judge.judge()
    return [json.loads(bytes(body))["id"] for body in Delivery.objects.order_by("pk").values_list("body", flat=True)]


def test_without_rules_nothing_is_written(livetok):
    livetok.begin()
    livetok.end()

    assert not Occurrence.objects.exists()


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("began_allowed", ["a"]),
        ("began_denied", ["b"]),
        ("ended", ["a"]),
        ("end_corrected", ["a"]),
        ("new_caller", ["c"]),
    ],
)
def test_a_rule_fires_on_what_it_waits_for_alone(livetok, destination, trigger, expected):
    make_customer(make_tier("premium"), "+1234567890")
    make_customer(make_tier("closed", limit("sessions", 0)), "+15550002")
    if trigger != "new_caller":
        livetok.begin(sessionId="c", phoneNumber="+15550003")
    rule = make_rule(trigger, destination)
    livetok.begin(sessionId="a")
    livetok.begin(sessionId="b", phoneNumber="+15550002")
    livetok.end(sessionId="a")
    livetok.end(sessionId="a", duration=77)
    if trigger == "new_caller":
        livetok.begin(sessionId="c", phoneNumber="+15550003")
        livetok.begin(sessionId="d", phoneNumber="+15550003")

    assert fired(rule) == expected
    assert sent_ids() == expected
    assert not Occurrence.objects.exists()


def test_a_rule_fires_once_for_a_session_whatever_comes_again(livetok, destination):
    make_customer(make_tier("premium"))
    rule = make_rule("end_corrected", destination)
    livetok.begin()
    for duration in (10, 20, 20, 30, 10):
        livetok.end(duration=duration)
    livetok.begin()

    assert fired(rule) == ["123"]
    assert Delivery.objects.count() == 1


NAMED, NAMELESS = {"phoneNumber": "+15550003"}, {"phoneNumber": ""}


def test_a_new_caller_is_told_of_although_the_tier_denies_the_session(livetok, destination):
    set_policy(unknown_callers="serve", unknown_callers_tier=make_tier("closed", limit("sessions", 0)))
    rule = make_rule("new_caller", destination)
    livetok.begin(sessionId="a", phoneNumber="+15550003")

    assert fired(rule) == ["a"]
    assert the_session("a").allowed is False
    assert Customer.objects.get().source == "first_contact"


@pytest.mark.parametrize("is_judged_between", [True, False], ids=["judged at once", "judged at the end"])
@pytest.mark.parametrize(
    "events",
    [
        [("begin", NAMED), ("end", NAMED)],
        [("end", NAMED), ("begin", NAMED)],
        [("end", NAMED)],
        [("end", NAMED), ("end", NAMED | {"duration": 77}), ("begin", NAMED), ("end", NAMED)],
        [("end", NAMELESS), ("begin", NAMED)],
        [("end", NAMELESS), ("end", NAMED | {"duration": 77}), ("begin", NAMED)],
    ],
    ids=lambda events: " ".join(f"{what}{'' if said['phoneNumber'] else ' without a number'}" for what, said in events),
)
def test_a_new_caller_is_told_once_whichever_event_comes_first(livetok, destination, events, is_judged_between):
    rule = make_rule("new_caller", destination)
    for what, said in events:
        getattr(livetok, what)(sessionId="first", **said)
        if is_judged_between:
            judge.judge()
    livetok.begin(sessionId="later", **NAMED)
    livetok.end(sessionId="later", **NAMED)

    assert fired(rule) == ["first"]
    assert sent_ids() == ["first"]
    assert [triggers_of(session) & {"new_caller"} for session in sessions()] == [{"new_caller"}, set()]


def test_an_end_alone_makes_no_news_of_known_callers_of_tests_and_of_whom_nobody_serves(livetok, destination):
    rule = make_rule("new_caller", destination, covers_tests=True)
    make_customer(make_tier("premium"), "+15550001")
    livetok.end(sessionId="known", phoneNumber="+15550001")
    livetok.end(sessionId="test", phoneNumber="+15550002", livemode=False)
    livetok.end(sessionId="nameless", phoneNumber="")
    Policy.objects.update(unknown_callers="deny")
    livetok.end(sessionId="not served", phoneNumber="+15550004")

    assert fired(rule) == []


def test_an_edit_of_a_rule_holds_from_the_next_event_and_nothing_before_it_counts(livetok, destination):
    make_customer(make_tier("premium"))
    livetok.begin(sessionId="before")
    rule = make_rule("began_allowed", destination, active_since=timezone.now())
    livetok.begin(sessionId="after")
    Rule.objects.update(is_active=False)
    livetok.begin(sessionId="off")

    assert fired(rule) == []  # it is off by now
    Rule.objects.update(is_active=True)
    livetok.begin(sessionId="on")
    assert fired(rule) == ["on"]


def test_what_happened_before_a_rule_was_switched_on_is_not_seen_though_it_is_judged_later(livetok, destination):
    make_customer(make_tier("premium"))
    make_rule("began_allowed", destination)
    livetok.begin(sessionId="before")
    new = make_rule("began_allowed", destination, active_since=timezone.now())
    livetok.begin(sessionId="after")

    assert fired(new) == ["after"]


def test_conditions_and_test_traffic(livetok, destination):
    premium, closed = make_tier("premium"), make_tier("other")
    make_customer(premium)
    of_tier = make_rule("began_allowed", destination, tiers=[premium])
    of_other = make_rule("began_allowed", destination, tiers=[closed])
    with_tests = make_rule("began_allowed", destination, covers_tests=True)
    livetok.begin(sessionId="real")
    livetok.begin(sessionId="test", livemode=False)

    assert [fired(rule) for rule in (of_tier, of_other, with_tests)] == [["real"], [], ["real", "test"]]


def test_a_message_that_is_too_late_is_skipped_and_a_request_is_not(livetok, destination):
    make_customer(make_tier("premium"))
    mail = make_destination("", kind="email")
    make_rule("began_allowed", destination)
    make_rule("began_allowed", mail, action={"recipient": "a@example.com", "subject": "x", "text": "y"})
    livetok.begin()
    Occurrence.objects.update(received_at=timezone.now() - timedelta(minutes=61))
    Rule.objects.update(active_since=timezone.now() - timedelta(days=1))
    judge.judge()

    late = Delivery.objects.get(destination=mail)
    assert late.not_after < timezone.now()
    assert Delivery.objects.get(destination=destination).not_after is None


class TestUsage:
    @pytest.fixture
    def rule(self, destination):
        body = '{"id": "{{ usage.percent }} % of {{ usage.amount }} {{ usage.metric }} a {{ usage.period }}"}'
        return make_rule("usage_reached", destination, thresholds=[50, 80, 100], action={"body": body})

    def use(self, livetok, session_id, minutes):
        started = timezone.now() - timedelta(minutes=minutes)
        kind = {"sessionId": session_id, "kind": "telephony"}
        livetok.begin(**kind, timestamp=started.isoformat())
        livetok.end(**kind, duration=60 * minutes, timestamp=timezone.now().isoformat())
        judge.judge()

    @time_machine.travel(datetime(2024, 3, 15, 12, tzinfo=UTC), tick=True)
    def test_each_threshold_is_told_once_and_of_several_the_highest(self, livetok, rule):
        Rule.objects.update(active_since=datetime(2024, 3, 1, tzinfo=UTC))
        make_customer(make_tier("premium", limit("call_minutes", 10, "month")))
        told = []
        for number, minutes in enumerate((4, 2, 3, 2)):
            self.use(livetok, f"s{number}", minutes)
            told.append(sent_ids())

        assert told[0] == []
        assert told[1] == ["60 % of 10 call minutes a month"]
        assert told[3] == [*told[1], "90 % of 10 call minutes a month", "110 % of 10 call minutes a month"]

    @time_machine.travel(datetime(2024, 3, 15, 12, tzinfo=UTC), tick=True)
    def test_another_amount_is_another_limit_and_a_lower_one_is_no_news(self, livetok, rule):
        Rule.objects.update(active_since=datetime(2024, 3, 1, tzinfo=UTC))
        tier = make_tier("premium", limit("call_minutes", 10, "month"))
        make_customer(tier)
        self.use(livetok, "a", 10)
        livetok.end(sessionId="a", kind="telephony", duration=360, timestamp=now_text(seconds=-1))
        judge.judge()
        assert sent_ids() == ["100 % of 10 call minutes a month"]

        tier.limits.update(amount=12)
        self.use(livetok, "b", 1)
        assert Firing.objects.filter(rule=rule).count() == 2


class TestMissingEnds:
    def test_they_are_told_once(self, livetok, destination):
        make_customer(make_tier("premium"))
        rule = make_rule("missing_end", destination)
        for name in ("a", "b", "old"):
            livetok.begin(sessionId=name)
        now = timezone.now()
        Session.objects.filter(session_id="a").update(missing_from=now - timedelta(minutes=5))
        Session.objects.filter(session_id="old").update(missing_from=now - timedelta(minutes=65))
        tell_missing_ends()
        tell_missing_ends()

        assert fired(rule) == ["a"]


class TestSilence:
    NOW = datetime(2024, 3, 15, 12, tzinfo=UTC)

    def events(self, *, weeks, count=10, until=NOW):
        rows = [
            WebhookEvent(
                received_at=until - timedelta(weeks=week, minutes=number), verdict="accepted", status=200, took_ms=1
            )
            for week in weeks
            for number in range(1, count + 1)
        ]
        WebhookEvent.objects.bulk_create(rows)

    def look(self, minutes=0):
        with time_machine.travel(self.NOW + timedelta(minutes=minutes), tick=False):
            look_for_silence()

    @pytest.fixture
    def rule(self, destination):
        return make_rule(
            "silent",
            destination,
            active_since=self.NOW - timedelta(days=1),
            action={"body": '{"id": "{{ event.label }}"}'},
        )

    def test_it_is_told_at_its_start_and_at_its_end(self, rule):
        self.events(weeks=[1, 2, 3, 4])
        self.look()
        self.look(1)
        assert len(sent_ids()) == 1

        self.events(weeks=[0], count=1, until=self.NOW + timedelta(minutes=3))
        self.look(4)
        self.look(5)

        assert [text.split()[2] for text in sent_ids()] == ["silent", "heard"]
        assert Silence.objects.get().ended_at == self.NOW + timedelta(minutes=2)

    @pytest.mark.parametrize(("weeks", "count"), [([1, 2, 3], 10), ([1, 2, 3, 4], 9), ([0, 1, 2, 3, 4], 10)])
    def test_an_hour_that_is_not_always_busy_and_one_with_an_event_are_none(self, rule, weeks, count):
        self.events(weeks=weeks, count=count)
        self.look()

        assert not Silence.objects.exists()


def test_people_get_twenty_messages_in_ten_minutes_and_then_one_digest(livetok, destination):
    make_customer(make_tier("premium"))
    mail = make_destination("", kind="email")
    rule = make_rule("began_allowed", mail, action={"recipient": "a@b.example", "subject": "x", "text": "y"})
    request = {"destination": destination, "body": '{"id": "{{ session.id }}"}'}
    rule.actions.create(**request)
    for number in range(25):
        livetok.begin(sessionId=f"s{number}")
    judge.judge()

    assert Delivery.objects.filter(destination=mail).count() == 20
    assert Delivery.objects.filter(destination=destination).count() == 25
    send_digests()
    assert Delivery.objects.filter(destination=mail).count() == 20
    Firing.objects.update(fired_at=timezone.now() - timedelta(minutes=11))
    send_digests()
    send_digests()

    digest = Delivery.objects.filter(destination=mail).order_by("-pk")[0]
    assert Delivery.objects.filter(destination=mail).count() == 21
    assert digest.subject.startswith(f"“{rule.name}” fired 5 times more")
    assert not digest.subject.endswith(":")
    assert bytes(digest.body).decode().count("/reports/sessions/") == 5


def test_of_a_session_that_is_gone_nothing_follows(livetok, destination):
    make_customer(make_tier("premium"))
    rule = make_rule("began_allowed", destination)
    livetok.begin()
    Occurrence.objects.update(session_id="gone")

    assert fired(rule) == []
    assert not Occurrence.objects.exists()
    assert Customer.objects.exists()
