"""What keeps deliveries from going out is said on the admin's first page, to whom it concerns."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from automations.deliveries import copies
from automations.deliveries.standstill import standstill
from automations.models import Delivery, Destination, Installation
from automations.rules.judging import judge
from config.nodes import Heartbeat
from tests.builders import make_customer, make_tier
from tests.fleet import heard_of
from tests.following import add_secret, make_destination, make_rule
from tests.staff import staff, text_of

pytestmark = pytest.mark.django_db(transaction=True)

NO_WORKER = "No worker has been there for a minute"
COPY = "This database looks like a copy"


@pytest.fixture
def destination(livetok):
    make_customer(make_tier("premium"))
    return make_destination(name="The CRM")


def seen(**ago):
    copies.confirm_this_one()
    heard_of("this", **ago)


def said_to(client):
    response = client.get("/admin/")
    assert response.status_code == 200
    return text_of(response)


def test_where_all_is_well_nothing_is_said(viewer, destination):
    make_rule("ended", destination)
    add_secret(destination, "token", "x")
    seen(seconds=5)
    text = said_to(viewer)

    assert not any(words in text for words in (NO_WORKER, COPY, "is paused", "is missing"))


def test_a_paused_destination_is_named_with_why_and_a_link(viewer, destination):
    Destination.objects.update(paused_at=timezone.now(), paused_because="It answered 410: it is gone for good.")
    page = viewer.get("/admin/")

    assert "The destination The CRM is paused. It answered 410" in text_of(page)
    assert f'href="/admin/automations/destination/{destination.pk}/change/"' in page.content.decode()


def test_a_copied_database_is_confirmed_by_an_administrator_alone(viewer, destination):
    copies.confirm_this_one()
    Installation.objects.update(identity="another one")
    administrator = staff("administrators", "boss")
    manager = staff("managers", "mia")
    for other in (viewer, manager):
        text = said_to(other)
        assert COPY in text
        assert "This is the real one" not in text
        assert other.post("/admin/automations/confirm-database/").status_code == 403
    assert not copies.may_send()

    assert "This is the real one" in said_to(administrator)
    assert administrator.get("/admin/automations/confirm-database/").headers["Location"] == "/admin/"
    assert not copies.may_send()
    page = administrator.post("/admin/automations/confirm-database/", follow=True)
    assert "This is the real one: what waits is sent now." in text_of(page)
    assert COPY not in said_to(administrator)
    assert copies.may_send()
    assert LogEntry.objects.get().user == administrator.user


class TestWorker:
    @pytest.mark.parametrize(("ago", "is_said"), [(30, False), (61, True)])
    def test_one_that_was_not_seen_for_a_minute(self, viewer, destination, ago, is_said):
        make_rule("ended", destination)
        seen(seconds=ago)

        assert (NO_WORKER in said_to(viewer)) == is_said

    def test_one_that_never_was_there(self, viewer, destination):
        make_rule("ended", destination)

        assert NO_WORKER in said_to(viewer)

    def test_nobody_misses_it_where_there_is_nothing_to_do(self, viewer, livetok, destination):
        rule = make_rule("began_allowed", destination)
        type(rule).objects.update(is_active=False)
        assert NO_WORKER not in said_to(viewer)

        type(rule).objects.update(is_active=True)
        livetok.begin()
        judge.judge()
        type(rule).objects.update(is_active=False)
        assert Delivery.objects.count() == 1
        assert NO_WORKER in said_to(viewer)

    def test_one_that_runs_says_so(self, viewer, destination):
        make_rule("ended", destination)
        copies.confirm_this_one()
        assert NO_WORKER in said_to(viewer)

        worker = Heartbeat()
        worker.beat()
        assert NO_WORKER not in said_to(viewer)

        worker.end()
        assert NO_WORKER in said_to(viewer)


def test_a_key_that_is_missing_is_named_with_the_destinations_that_need_it(viewer, destination, settings):
    seen(seconds=5)
    secret = add_secret(destination, "token", "x")
    add_secret(destination, "other", "y")
    settings.ENCRYPTION_KEYS = ["x" * 43 + "="]
    text = said_to(viewer)

    assert f"The encryption key {secret.fingerprint} is missing , which opens secrets of The CRM" in text


def test_who_may_not_see_destinations_is_told_nothing_and_it_costs_few_queries(viewer, destination):
    def queries(client):
        with CaptureQueriesContext(connection) as found:
            client.get("/admin/")
        return len(found)

    nobody = staff(None, "nobody")
    make_rule("ended", destination)
    Destination.objects.update(paused_at=timezone.now(), paused_because="x")
    assert "is paused" not in said_to(nobody)
    assert NO_WORKER not in said_to(nobody)
    few = queries(viewer)
    for number in range(10):
        make_destination(name=f"More {number}", paused_at=timezone.now(), paused_because="x")

    assert queries(viewer) <= few
    with CaptureQueriesContext(connection) as found:
        standstill()
    assert len(found) <= 7
