"""What keeps one rule, event or session from being told is its own fault alone: the others go on, and in order."""

import json
import threading
from datetime import UTC, datetime, time, timedelta

import pytest
import time_machine
from django.db import connection
from django.db.models import F
from django.utils import timezone

from automations.deliveries.worker import send_due
from automations.models import Attempt, Delivery, Firing, Occurrence, Rule, Silence
from automations.outgoing.addresses import parse_allowed_hosts
from automations.rules import digests, judging, missing_ends
from automations.rules.digests import send_digests
from automations.rules.firing import Preparing, store_firings
from automations.rules.judging import Judge, judge
from automations.rules.missing_ends import tell_missing_ends
from automations.rules.silence import look_for_silence
from automations.rules.usage_alerts import usage_events
from sessions_app.database.pieces import bulk_transaction
from sessions_app.models import Session, WebhookEvent
from tests.builders import limit, make_customer, make_tier, the_session
from tests.following import make_destination, make_rule
from tests.standins import Reply, http_standin

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def destination(livetok):
    return make_destination()


def told_of(rule):
    return list(Firing.objects.filter(rule=rule).order_by("pk").values_list("session__session_id", flat=True))


def test_a_line_that_is_longer_than_its_column_fails_alone_and_says_so(livetok, destination):
    make_customer(make_tier("premium"), context={"x": "y" * (998 - len("a@a.example, ")), "one": "y"})
    action = {"recipient": "a@a.example", "subject": "Hello", "text": "y"}
    texts = "a@a.example, {{ customer.context.x }}", "a@a.example, {{ customer.context.x }}{{ customer.context.one }}"
    mail = make_destination("", kind="email")
    fits, too_long = (make_rule("began_allowed", mail, action=action | {"subject": text}) for text in texts)
    other = make_rule("began_allowed", destination)
    livetok.begin(sessionId="a")
    assert judge.judge() == 1

    assert [told_of(rule) for rule in (fits, too_long, other)] == [["a"]] * 3
    assert not Occurrence.objects.exists()
    states = dict(Delivery.objects.values_list("firing__rule", "state"))
    assert states == {fits.pk: "waiting", too_long.pk: "failed", other.pk: "waiting"}
    [failed] = Attempt.objects.all()
    assert "998 are the most" in failed.error


def test_an_action_that_cannot_be_filled_in_fails_alone(livetok, destination, settings):
    make_customer(make_tier("premium"))
    settings.PUBLIC_URL = "https://front desk.example"  # no link of ours can be made of it
    make_rule("began_allowed", destination)
    livetok.begin(sessionId="a")
    judge.judge()

    assert not Occurrence.objects.exists()
    assert Delivery.objects.get().state == "failed"
    assert "ValueError" in Attempt.objects.get().error


def test_an_event_that_cannot_be_stored_is_set_aside_and_holds_up_no_other(livetok, destination, monkeypatch):
    make_customer(make_tier("premium"))
    rule = make_rule("began_allowed", destination)
    for name in ("a", "bad", "c"):
        livetok.begin(sessionId=name)
    stored = judging.store_firings

    def fail_on_one(prepared):
        new = stored(prepared)
        if any(one.firing.session.session_id == "bad" for one in prepared):
            Firing.objects.filter(pk=prepared[0].firing.pk).update(fired_at=None)
        return new

    monkeypatch.setattr(judging, "store_firings", fail_on_one)
    mine = Judge()
    mine.judge()
    assert told_of(rule) == ["a", "c"]
    livetok.begin(sessionId="later")
    mine.judge()

    assert told_of(rule) == ["a", "c", "later"]
    assert Occurrence.objects.get().session_id == "bad"


def test_a_rule_that_cannot_be_asked_holds_up_no_other(livetok, destination):
    make_customer(make_tier("premium", limit("sessions", 2)))
    odd = {"weekdays": 7, "thresholds": ["eighty", 50]}
    rules = [make_rule(trigger, destination, **odd) for trigger in ("began_allowed", "usage_reached", "missing_end")]
    Rule.objects.filter(pk=rules[1].pk).update(weekdays=[])
    well = make_rule("began_allowed", destination), make_rule("missing_end", destination)
    livetok.begin(sessionId="a")
    judge.judge()
    Session.objects.update(missing_from=timezone.now() - timedelta(minutes=5))
    tell_missing_ends()

    assert [told_of(rule) for rule in well] == [["a"], ["a"]]
    assert [told_of(rule) for rule in rules] == [[], ["a"], []]
    assert not Occurrence.objects.exists()


@pytest.mark.only("postgresql")
@pytest.mark.serial
def test_a_session_is_told_in_order_though_another_worker_is_slow_to_store_its_begin(
    livetok, destination, monkeypatch, settings
):
    """On SQLite one writes at a time anyway."""
    settings.OUTGOING_ALLOWED_HOSTS = parse_allowed_hosts(["127.0.0.0/8"])
    settings.OUTGOING_ALLOW_HTTP = True
    monkeypatch.setattr(judging, "FIRINGS_AT_ONCE", 1)
    make_customer(make_tier("premium"))
    is_storing, may_go_on = threading.Event(), threading.Event()
    stored = judging.store_firings

    def slowly(prepared):
        new = stored(prepared)
        if threading.current_thread().name == "slow" and not is_storing.is_set():
            is_storing.set()
            may_go_on.wait(10)
        return new

    monkeypatch.setattr(judging, "store_firings", slowly)

    def work():
        try:
            Judge().judge()
        finally:
            connection.close()

    with http_standin(Reply()) as server:
        to = make_destination(server.url)
        for trigger in ("began_allowed", "ended"):
            make_rule(trigger, to, action={"body": json.dumps({"what": trigger})})
        livetok.begin(sessionId="a")
        livetok.end(sessionId="a")
        slow = threading.Thread(target=work, name="slow")
        slow.start()
        assert is_storing.wait(10)
        quick = threading.Thread(target=work, name="quick")
        quick.start()
        quick.join(0.5)
        send_due()
        may_go_on.set()
        slow.join()
        quick.join()
        send_due()

        assert [json.loads(request.body)["what"] for request in server.requests] == ["began_allowed", "ended"]


class TestUsage:
    @pytest.fixture
    def rule(self, destination):
        return make_rule("usage_reached", destination, thresholds=[50, 80, 100])

    def test_a_lower_threshold_is_not_told_after_a_higher_one_that_another_worker_told(self, livetok, rule):
        make_customer(make_tier("premium", limit("sessions", 10)))
        for number in range(8):
            livetok.begin(sessionId=f"s{number}")
            livetok.end(sessionId=f"s{number}")
        rules = list(Rule.objects.active("usage_reached"))

        def prepared_on(session_id):
            return Preparing().prepare(usage_events(rules, the_session(session_id), timezone.now()))

        early = prepared_on("s7")
        for number in range(8, 10):
            livetok.begin(sessionId=f"s{number}")
        late = prepared_on("s9")
        for prepared in (late, early):
            with bulk_transaction():
                store_firings(prepared)

        assert list(Firing.objects.values_list("threshold", flat=True)) == [100]
        assert Delivery.objects.count() == 1

    @time_machine.travel(datetime(2024, 3, 16, 0, 10, tzinfo=UTC), tick=False)
    def test_a_call_over_midnight_is_told_of_the_day_that_it_filled(self, livetok, rule):
        Rule.objects.update(active_since=datetime(2024, 3, 1, tzinfo=UTC))
        make_customer(make_tier("premium", limit("call_minutes", 60)))
        call = {"sessionId": "m", "kind": "telephony"}
        livetok.begin(**call, timestamp="2024-03-15T23:00:00Z")
        livetok.end(**call, duration=70 * 60, timestamp="2024-03-16T00:10:00Z")
        judge.judge()

        [told] = Firing.objects.filter(rule=rule)
        assert (told.threshold, "2024-03-15" in told.subject) == (100, True)

    def test_of_a_limit_that_is_changed_and_changed_back_each_amount_is_told_once(self, livetok, rule):
        tier = make_tier("premium", limit("sessions", 4))
        make_customer(tier)
        told = []
        for number, amount in enumerate((4, 4, 3, 4)):
            tier.limits.update(amount=amount)
            livetok.begin(sessionId=f"s{number}")
            livetok.end(sessionId=f"s{number}")
            judge.judge()
            told.append(sorted(Firing.objects.values_list("threshold", flat=True)))

        assert told == [[], [50], [50, 100], [50, 100, 100]]


class TestMissingEnds:
    def test_sessions_that_a_rule_leaves_out_hide_none_that_it_waits_for(self, livetok, destination, monkeypatch):
        monkeypatch.setattr(missing_ends, "AT_ONCE", 3)
        vip, others = make_tier("vip"), make_tier("others")
        make_customer(vip)
        make_customer(others, "+15550002")
        for number in range(7):
            livetok.begin(sessionId=f"o{number}", phoneNumber="+15550002")
        for name in ("v1", "v2"):
            livetok.begin(sessionId=name)
        now = timezone.now()
        Session.objects.update(missing_from=now - timedelta(minutes=30))  # many at the same moment
        Session.objects.filter(session_id="v2").update(missing_from=now - timedelta(minutes=5))
        rule = make_rule("missing_end", destination, tiers=[vip])
        tell_missing_ends()
        tell_missing_ends()

        assert told_of(rule) == ["v1", "v2"]

    def test_one_that_cannot_be_stored_holds_up_no_other(self, livetok, destination, monkeypatch):
        make_customer(make_tier("premium"))
        for name in ("a", "bad", "c"):
            livetok.begin(sessionId=name)
        Session.objects.update(missing_from=timezone.now() - timedelta(minutes=5))
        rule = make_rule("missing_end", destination)
        stored = missing_ends.store_firings

        def fail_on_one(prepared):
            if any(one.firing.session.session_id == "bad" for one in prepared):
                raise RuntimeError("a mistake")
            return stored(prepared)

        monkeypatch.setattr(missing_ends, "store_firings", fail_on_one)
        tell_missing_ends()

        assert told_of(rule) == ["a", "c"]


class TestSilence:
    MONDAY = datetime(2024, 3, 18, 10, tzinfo=UTC)
    OFFICE_HOURS = {"weekdays": [0, 1, 2, 3, 4], "from_time": time(8), "until_time": time(18)}

    @pytest.fixture
    def rule(self, destination):
        return make_rule("silent", destination, active_since=self.MONDAY - timedelta(days=30), **self.OFFICE_HOURS)

    def events(self, until, count=12):
        WebhookEvent.objects.bulk_create(
            WebhookEvent(received_at=until - timedelta(minutes=number + 1), verdict="accepted", status=200, took_ms=1)
            for number in range(count)
        )

    def usual(self, moment):
        for week in range(1, 5):
            self.events(moment - timedelta(weeks=week))

    def look(self, moment):
        with time_machine.travel(moment, tick=False):
            look_for_silence()

    def told(self, rule):
        return [subject.split()[0] for subject in rule.firings.order_by("pk").values_list("subject", flat=True)]

    def test_a_rule_with_hours_hears_of_an_outage_that_is_noticed_within_them_and_of_its_end(self, rule):
        self.usual(self.MONDAY)
        self.events(self.MONDAY - timedelta(days=2, hours=15), count=1)  # Friday, 19:00
        self.look(self.MONDAY)
        assert self.told(rule) == ["silent"]

        self.events(self.MONDAY + timedelta(hours=12), count=1)  # in the evening
        self.look(self.MONDAY + timedelta(hours=12))
        assert self.told(rule) == ["silent", "heard"]

    def test_a_rule_whose_hours_begin_while_it_goes_on_is_told_once_they_are_busy(self, rule):
        saturday = self.MONDAY - timedelta(days=2)
        self.usual(saturday)
        self.usual(self.MONDAY)
        self.events(saturday - timedelta(hours=15), count=1)
        self.look(saturday)
        assert Silence.objects.count() == 1
        self.look(self.MONDAY - timedelta(hours=1))  # within its hours, but not busy
        assert self.told(rule) == []

        for minutes in (0, 1):
            self.look(self.MONDAY + timedelta(minutes=minutes))
        assert self.told(rule) == ["silent"]


class TestDigests:
    def digest(self, livetok, destination, name="Ada", **action):
        """Of 22 sessions, the last two are told of in one message."""
        make_customer(make_tier("premium"), name=name)
        rule = make_rule("began_allowed", destination, action=action)
        for number in range(22):
            livetok.begin(sessionId=f"s{number}")
        judge.judge()
        assert Delivery.objects.count() == 20
        self.later()
        send_digests()
        return rule, Delivery.objects.order_by("pk").last()

    def later(self):
        Firing.objects.update(fired_at=F("fired_at") - timedelta(minutes=11))

    @pytest.mark.parametrize("recipient", ["{{ customer.email }}", "{% if session.id %}a@a.example{% endif %}"])
    def test_where_each_message_has_another_recipient_nobody_is_told_of_all(self, livetok, recipient):
        action = {"recipient": recipient, "subject": "x", "text": "y"}
        _, digest = self.digest(livetok, make_destination("", kind="email"), **action)

        assert (Delivery.objects.count(), digest.state) == (21, "failed")
        assert "no single recipient" in digest.attempts.get().error

    def test_in_teams_names_are_escaped_and_our_links_stay_links(self, livetok):
        body = '{"text": "x"}'
        _, digest = self.digest(livetok, make_destination(kind="teams"), name="[x](http://evil.example)", body=body)

        blocks = json.loads(bytes(digest.body))["attachments"][0]["content"]["body"]
        assert len(blocks) == 3
        for block in blocks[1:]:
            name, _, link = block["text"].rpartition(" [Open](")
            assert name.endswith(r"\[x\](http\://evil\.example)")
            assert link.startswith("http://127.0.0.1:8000/")
            assert "\\" not in link

    def test_in_slack_our_links_stay_links(self, livetok):
        _, digest = self.digest(livetok, make_destination(kind="slack"), name="<!channel>", body='{"text": "x"}')

        text = json.loads(bytes(digest.body))["text"]
        assert "&lt;!channel&gt; http://127.0.0.1:8000/" in text

    def test_one_that_cannot_be_sent_holds_up_no_other(self, livetok, monkeypatch):
        mail = make_destination("", kind="email")
        action = {"recipient": "a@a.example", "subject": "x", "text": "y"}
        bad = make_rule("ended", mail, action=action)
        Firing.objects.create(rule=bad, subject="x", fired_at=timezone.now(), awaits_digest=True)
        send, asked = digests._send, []

        def fail_on_one(rule, firings, since):
            asked.append(rule.pk)
            if rule.pk == bad.pk:
                raise RuntimeError("a mistake")
            send(rule, firings, since)

        monkeypatch.setattr(digests, "_send", fail_on_one)
        _, digest = self.digest(livetok, mail, **action)

        assert (asked[0], digest.recipient) == (bad.pk, "a@a.example")
        assert "2 times more" in digest.subject
