"""A session's page says which rules fired on it, what came of it, and why the others did not."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from automations.deliveries.worker import send_due
from automations.models import Destination, Firing, Rule
from automations.outgoing.addresses import parse_allowed_hosts
from automations.rules.judging import judge
from customers.models import Customer
from sessions_app.models import Session
from tests.builders import limit, make_customer, make_tier
from tests.following import make_destination, make_rule
from tests.staff import text_of
from tests.standins import Reply, http_standin

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def destination(livetok):
    make_customer(make_tier("premium"))
    return make_destination(name="The CRM")


def page_of(client, session_id="call-1"):
    response = client.get(f"/reports/sessions/{Session.objects.get(session_id=session_id).pk}/")
    assert response.status_code == 200
    return response


def lines_of(client, session_id="call-1"):
    """By rule: whether it fired, and what is said."""
    [part] = page_of(client, session_id).context["parts"]
    return {line.rule.name: (line.fired_at is not None, " ".join(line.why_not)) for line in part.context["lines"]}


def begin(livetok, session_id="call-1", **changes):
    livetok.begin(sessionId=session_id, **changes)
    judge.judge()


def test_a_rule_that_fired_shows_its_deliveries_and_what_was_kept(livetok, viewer, destination, settings):
    settings.OUTGOING_ALLOWED_HOSTS, settings.OUTGOING_ALLOW_HTTP = parse_allowed_hosts(["127.0.0.0/8"]), True
    kept = {"kept_pointer": "/id", "kept_link": "https://desk.example.com/{{ kept.value }}"}
    with http_standin() as receiver:
        receiver.answer = Reply(200, body=b'{"id": 77}')
        Destination.objects.update(address=f"{receiver.url}/in")
        make_rule("began_allowed", destination, name="Make a ticket", action=kept)
        begin(livetok)
        send_due()

    page = page_of(viewer)
    text = text_of(page)
    assert "What followed" in text
    assert "Make a ticket" in text
    assert "The CRM Delivered 77" in text
    assert '<a href="https://desk.example.com/77">77</a>' in page.content.decode()
    assert "/admin/automations/delivery/" in page.content.decode()


def test_a_rule_that_did_not_fire_says_which_condition_failed(livetok, viewer, destination):
    make_rule("began_allowed", destination, name="Tier", tiers=[make_tier("gold")])
    make_rule("ended", destination, name="End")
    begin(livetok)

    assert lines_of(viewer) == {
        "Tier": (False, "It is of another tier."),
        "End": (False, "It waits for this: a session ended."),
    }


def test_a_rule_that_was_switched_on_later_says_so_and_what_fails_as_well(livetok, viewer, destination):
    begin(livetok)
    since = timezone.now()
    make_rule("began_allowed", destination, name="Late", active_since=since)
    make_rule("began_allowed", destination, name="Late and gold", active_since=since, tiers=[make_tier("gold")])
    lines = lines_of(viewer)

    assert lines["Late"][1].startswith("It was off then, and was switched on later, at ")
    assert lines["Late and gold"][1].endswith("It is of another tier.")


def test_a_new_caller_of_whom_only_an_end_came_was_one_when_it_came(livetok, viewer, destination):
    make_rule("new_caller", destination, name="Early")
    make_rule("new_caller", destination, name="Late", active_since=timezone.now() + timedelta(hours=1))
    livetok.end(sessionId="call-1", phoneNumber="+15550003")
    judge.judge()

    lines = lines_of(viewer)
    assert lines["Early"] == (True, "")
    assert lines["Late"][1].startswith("It was off then, and was switched on later, at ")


def test_one_that_is_off_is_shown_only_where_it_fired(livetok, viewer, destination):
    make_rule("began_allowed", destination, name="Fired")
    begin(livetok)
    make_rule("began_allowed", destination, name="Never on", is_active=False, active_since=None)
    Rule.objects.update(is_active=False)

    assert lines_of(viewer) == {"Fired": (True, "")}
    assert "off now" in text_of(page_of(viewer))


def test_what_is_not_judged_yet_and_what_was_changed_afterwards_is_told_apart(livetok, viewer, destination):
    rule = make_rule("began_allowed", destination, name="Rule", channels=[])
    livetok.begin(sessionId="call-1")
    assert "waits to be judged" in lines_of(viewer)["Rule"][1]

    judge.judge()
    Firing.objects.all().delete()
    rule.refresh_from_db()
    assert "changed afterwards" in lines_of(viewer)["Rule"][1]


def test_what_waits_for_a_digest_says_so(livetok, viewer, destination):
    make_rule("began_allowed", destination, name="Rule")
    begin(livetok)
    Firing.objects.update(awaits_digest=True)

    assert "told of with others" in text_of(page_of(viewer))


class TestUsage:
    @pytest.fixture(autouse=True)
    def _calls(self, livetok, destination):
        make_customer(make_tier("small", limit("call_minutes", 10, "month")), "+15550009")
        make_rule("usage_reached", destination, name="Half", thresholds=[50])

    def call(self, livetok, session_id, minutes):
        kind = {"sessionId": session_id, "kind": "telephony"}
        started = timezone.now() - timedelta(seconds=1)
        livetok.begin(**kind, phoneNumber="+15550009", timestamp=started.isoformat())
        livetok.end(**kind, duration=60 * minutes, timestamp=(started + timedelta(seconds=1)).isoformat())
        judge.judge()

    def test_it_says_which_limit_stands_where(self, livetok, viewer):
        self.call(livetok, "call-1", 4)

        has_fired, why_not = lines_of(viewer)["Half"]
        assert not has_fired
        assert why_not.startswith("It tells at 50 % of a limit.")
        assert why_not.endswith("as they are counted now: 4 of 10 call minutes a month (40 %).")

    def test_and_on_which_channel_or_with_which_agent(self, livetok, viewer):
        of_agent = limit("call_minutes", 20, "month", agent="4")
        on_channel = limit("call_minutes", 9, "week", channel="telephony")
        tier = make_tier("scoped", of_agent, on_channel)
        Customer.objects.update(tier=tier)
        self.call(livetok, "call-1", 2)

        why_not = lines_of(viewer)["Half"][1]
        assert "0 of 20 call minutes a month with agent 4 (0 %)." in why_not
        assert "2 of 9 call minutes a week on telephony (22 %)." in why_not

    def test_and_that_it_was_told_on_another_session(self, livetok, viewer):
        self.call(livetok, "first", 6)
        self.call(livetok, "call-1", 1)

        assert "7 of 10 call minutes a month (70 %), told at 50 % on another session." in lines_of(viewer)["Half"][1]
        assert lines_of(viewer, "first")["Half"] == (True, "")
        assert "at 50 %" in text_of(page_of(viewer, "first"))


@time_machine.travel(datetime(2024, 3, 16, 0, 10, tzinfo=UTC), tick=False)
def test_a_call_over_midnight_shows_both_days(livetok, viewer, destination):
    make_customer(make_tier("small", limit("call_minutes", 100)), "+15550009")
    make_rule("usage_reached", destination, name="Half", thresholds=[90])
    kind = {"sessionId": "call-1", "kind": "telephony"}
    livetok.begin(**kind, phoneNumber="+15550009", timestamp="2024-03-15T23:00:00Z")
    livetok.end(**kind, duration=70 * 60, timestamp="2024-03-16T00:10:00Z")
    judge.judge()

    why_not = lines_of(viewer)["Half"][1]
    assert "10 of 100 call minutes a day (10 %)" in why_not
    assert "60 of 100 call minutes a day from 15 March (60 %)" in why_not


def test_without_rules_and_without_the_permission_there_is_nothing(livetok, viewer, destination):
    begin(livetok)
    assert "What followed" not in text_of(page_of(viewer))

    make_rule("began_allowed", destination)
    assert "What followed" in text_of(page_of(viewer))
    group = Group.objects.get(name="viewers")
    group.permissions.remove(*group.permissions.filter(codename="view_delivery"))
    assert "/admin/automations/delivery/" not in page_of(viewer).content.decode()
    group.permissions.remove(*group.permissions.filter(codename="view_rule"))
    assert "What followed" not in text_of(page_of(viewer))


def test_the_pages_queries_do_not_grow_with_rules_and_are_few(livetok, viewer, destination):
    def add_rules():
        for trigger in ("began_allowed", "new_caller", "usage_reached", "ended"):
            make_rule(trigger, destination, thresholds=[50])

    def queries():
        with CaptureQueriesContext(connection) as found:
            page_of(viewer)
        return len(found)

    begin(livetok, "before")
    livetok.begin(sessionId="call-1")
    without = queries()
    add_rules()
    begin(livetok, "unused")
    judge.judge()
    few = queries()
    for _ in range(5):
        add_rules()

    assert queries() == few
    assert few - without <= 16
