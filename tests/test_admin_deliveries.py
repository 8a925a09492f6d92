"""Deliveries in the admin: what staff see of them, and sending them again."""

import json
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from automations.deliveries import again, copies
from automations.deliveries.worker import send_due
from automations.models import Action, Attempt, Delivery, Destination, Firing
from automations.outgoing.addresses import parse_allowed_hosts
from automations.rules.judging import judge
from automations.wording import IN_A_COPY
from sessions_app.models import Session
from tests.builders import limit, make_customer, make_tier
from tests.following import add_secret, judge_and_send, make_destination, make_rule
from tests.staff import staff, text_of
from tests.standins import Reply, http_standin

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/automations/delivery/"


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings):
    settings.OUTGOING_ALLOWED_HOSTS = parse_allowed_hosts(["127.0.0.0/8"])
    settings.OUTGOING_ALLOW_HTTP = True


@pytest.fixture
def receiver(livetok):
    make_customer(make_tier("premium"))
    with http_standin() as server:
        yield server


@pytest.fixture
def destination(receiver):
    return make_destination(f"{receiver.url}/in", name="The CRM")


@pytest.fixture
def manager(db):
    return staff("managers", "mia")


def happen(livetok, *session_ids):
    for session_id in session_ids:
        livetok.begin(sessionId=session_id)
    judge.judge()


def page_of(client, delivery):
    return client.get(f"{LIST}{delivery.pk}/change/")


def states():
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


class TestPages:
    def test_the_list_says_what_went_where_for_whom_and_how_it_stands(self, livetok, viewer, receiver, destination):
        receiver.answer = Reply(200, body=b'{"ticket": {"id": 77}}')
        action = {"kept_pointer": "/ticket/id", "kept_link": "https://desk.example.com/{{ kept.value }}"}
        make_rule("began_allowed", destination, name="Make a ticket", action=action)
        happen(livetok, "call-1")
        send_due()

        page = viewer.get(LIST)
        text = text_of(page)
        for expected in ("The CRM", "Make a ticket", "call-1", "Delivered"):
            assert expected in text
        assert '<a href="https://desk.example.com/77">77</a>' in page.content.decode()

    def test_one_shows_the_request_its_attempts_and_no_secret(self, livetok, viewer, receiver, destination):
        Destination.objects.update(
            address=f"{receiver.url}/{{{{ secrets.path }}}}", headers="X-Token: Bearer {{ secrets.token }}"
        )
        add_secret(destination, "path", "T0/abc")
        add_secret(destination, "token", "s3cr3t")
        make_rule("began_allowed", destination, action={"path": "/{{ session.id }}"})
        receiver.answer = lambda received: Reply(422, body=f"no {received.headers['X-Token']}".encode())
        happen(livetok, "call-1")
        send_due()

        delivery = Delivery.objects.get()
        page = page_of(viewer, delivery)
        text = text_of(page)
        assert f"POST {receiver.url}/•••/call-1" in text
        assert "X-Token: Bearer •••" in text
        assert "no Bearer •••" in text
        assert "422" in text
        assert "It was given up" in text
        assert str(delivery.key) in text
        for secret in ("T0/abc", "s3cr3t", "secrets."):
            assert secret not in page.content.decode()

    def test_bodies_are_for_those_who_may_see_them(self, livetok, viewer, destination):
        make_rule("began_allowed", destination, action={"body": '{"who": "Ada of {{ session.id }}"}'})
        happen(livetok, "call-1")
        delivery = Delivery.objects.get()

        assert "Ada of" not in text_of(page_of(viewer, delivery))
        viewer.user.user_permissions.add(
            Permission.objects.get(codename="view_bodies", content_type__app_label="automations")
        )
        assert '"who": "Ada of call-1"' in text_of(page_of(viewer, delivery))

    def test_a_mail_shows_to_whom_and_its_subject(self, livetok, viewer, receiver):
        mail = make_destination("", kind="email")
        make_rule("began_allowed", mail, action={"recipient": "a@b.example", "subject": "Call", "text": "Hi"})
        happen(livetok, "call-1")

        text = text_of(page_of(viewer, Delivery.objects.get()))
        assert "a@b.example" in text
        assert "Idempotency-Key" not in text

    def test_what_could_not_be_filled_in_says_so_and_shows_no_request(self, livetok, viewer, destination):
        make_rule("began_allowed", destination, action={"body": '{"city": "{{ customer.context.city.x }}"}'})
        Action.objects.update(body='{"a": "{{ nonsense }}"}')
        happen(livetok, "call-1")
        viewer.user.user_permissions.add(
            Permission.objects.get(codename="view_bodies", content_type__app_label="automations")
        )

        text = text_of(page_of(viewer, Delivery.objects.get()))
        assert "It could not be filled in, so nothing was sent. Why stands below." in text
        assert "“nonsense” is no name" in text
        assert "given up" not in text
        assert "Request: none Headers: none" in text
        assert "Body: none" in text

    def test_a_copied_database_says_that_nothing_is_sent(self, livetok, viewer, manager, receiver, monkeypatch):
        rule = make_rule("began_allowed", make_destination(f"{receiver.url}/in", name="The CRM"))
        happen(livetok, "call-1")
        assert copies.may_send()
        monkeypatch.setattr(copies, "identity", lambda: "another file")

        assert IN_A_COPY in text_of(page_of(viewer, Delivery.objects.get()))
        assert "when this database is confirmed" in text_of(viewer.get(LIST))
        path = f"/admin/automations/rule/{rule.pk}/test/"
        page = manager.post(path, {"action": rule.actions.get().pk}, follow=True)
        assert f"The test waits. {IN_A_COPY}" in text_of(page)
        assert "on its way" not in text_of(page)
        Delivery.objects.update(state="failed", finished_at=timezone.now(), attempts_made=1)
        page = manager.post(f"{LIST}{Delivery.objects.first().pk}/again/", {"way": "same"}, follow=True)
        assert IN_A_COPY in text_of(page)
        assert IN_A_COPY in text_of(
            manager.post(f"/admin/automations/destination/{Destination.objects.get().pk}/resume/", follow=True)
        )

        copies.confirm_this_one()
        assert IN_A_COPY not in text_of(page_of(viewer, Delivery.objects.first()))
        assert "when this database is confirmed" not in text_of(viewer.get(LIST))

    def test_a_paused_destination_is_said(self, livetok, viewer, destination):
        make_rule("began_allowed", destination)
        happen(livetok, "call-1")
        Destination.objects.update(paused_at=timezone.now(), paused_because="It answered 410: it is gone for good.")

        assert "when the destination is resumed" in text_of(viewer.get(LIST))
        text = text_of(page_of(viewer, Delivery.objects.get()))
        assert "Its destination is paused" in text
        assert "It answered 410" in text

    def test_filters_and_search_find_them(self, livetok, viewer, receiver, destination):
        first = make_rule("began_allowed", destination, name="First")
        second = make_rule("ended", make_destination(name="Other"), name="Second")
        happen(livetok, "call-1")
        livetok.end(sessionId="call-1")
        judge.judge()
        Firing.objects.filter(rule=second).update(awaits_digest=False)
        Delivery.objects.filter(firing__rule=second).update(firing=None)  # as a digest has none

        def found(query):
            return {delivery.destination.name for delivery in viewer.get(LIST, query).context["cl"].result_list}

        assert found({"rule": first.pk}) == {"The CRM"}
        assert found({"rule": second.pk}) == {"Other"}
        assert found({"state": "waiting"}) == {"The CRM", "Other"}
        assert found({"state": "failed"}) == set()
        assert found({"destination__id__exact": destination.pk}) == {"The CRM"}
        assert found({"q": "call-1"}) == {"The CRM", "Other"}
        assert found({"q": str(Delivery.objects.get(destination=destination).key)}) == {"The CRM"}
        assert found({"q": "nothing"}) == set()

    def test_the_lists_queries_do_not_grow_with_its_rows(self, livetok, viewer, destination):
        make_rule("began_allowed", destination)
        happen(livetok, "call-1")
        few = queries_of(viewer)
        happen(livetok, *(f"more-{number}" for number in range(10)))

        assert queries_of(viewer) == few <= 15


def queries_of(client):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(LIST).status_code == 200
    return len(queries)


class TestSendingOneAgain:
    @pytest.fixture
    def failed(self, livetok, receiver, destination):
        make_rule("began_allowed", destination, action={"body": '{"name": "{{ customer.name }}"}'})
        receiver.answer = Reply(400)
        happen(livetok, "call-1")
        send_due()
        receiver.answer = Reply(200)
        return Delivery.objects.get()

    def send(self, client, delivery, way, **data):
        return client.post(f"{LIST}{delivery.pk}/again/", {"way": way, **data}, follow=True)

    def test_the_same_bytes_go_out_with_the_same_id_and_it_is_noted_who_did_it(self, manager, receiver, failed):
        Delivery.objects.update(not_after=timezone.now() - timedelta(hours=1))
        assert "Send again…" in text_of(page_of(manager, failed))
        assert "on the way again" in text_of(self.send(manager, failed, "same"))
        send_due()

        first, second = receiver.requests
        assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
        assert states() == ["delivered"]
        assert Attempt.objects.count() == 2
        entry = LogEntry.objects.get()
        assert (entry.user, entry.object_id) == (manager.user, str(failed.pk))
        assert "Sent again" in entry.change_message

    def test_attempts_from_before_are_counted_too_and_the_page_says_who_sent_it_again(self, manager, receiver, failed):
        history = f"{LIST}{failed.pk}/history/"
        assert "Nobody sent it again." in text_of(manager.get(history))
        before = failed.attempts.count()

        self.send(manager, failed, "same")
        assert send_due() == 1
        assert f"{before + 1} attempts" in text_of(manager.get(LIST))
        assert "Sent again, with the same id." in text_of(manager.get(history))

    def test_filled_in_again_it_says_what_is_true_now_under_a_new_id(self, manager, receiver, failed):
        customer = Session.objects.get().customer
        customer.name = "Ada now"
        customer.save()
        self.send(manager, failed, "new")
        send_due()

        first, second = receiver.requests
        assert json.loads(second.body) == {"name": "Ada now"}
        assert first.headers["webhook-id"] != second.headers["webhook-id"]
        assert states() == ["failed", "delivered"]

    def test_old_messages_to_people_are_not_too_late_when_somebody_asks_for_them(self, livetok, manager, receiver):
        mail = make_destination("", kind="email")
        make_rule("began_allowed", mail, action={"recipient": "a@b.example", "subject": "x", "text": "y"})
        happen(livetok, "call-1")
        Delivery.objects.update(state="skipped", finished_at=timezone.now())
        Firing.objects.update(fired_at=timezone.now() - timedelta(days=3))
        self.send(manager, Delivery.objects.get(), "new")
        send_due()

        assert states() == ["skipped", "delivered"]

    def test_what_is_not_finished_is_left_alone(self, livetok, manager, destination):
        make_rule("began_allowed", destination)
        happen(livetok, "call-1")
        delivery = Delivery.objects.get()

        for way in ("same", "new"):
            assert "It is not finished" in text_of(self.send(manager, delivery, way))
        assert Delivery.objects.count() == 1

    def test_what_is_gone_cannot_be_filled_in_again_and_the_page_says_so(self, manager, failed):
        Action.objects.all().delete()
        assert "does not do this any more" in text_of(manager.get(f"{LIST}{failed.pk}/again/"))
        assert "does not do this any more" in text_of(self.send(manager, failed, "new"))
        Firing.objects.all().delete()
        assert "What it was about is gone" in text_of(self.send(manager, failed, "new"))
        assert Delivery.objects.count() == 1

    def test_what_could_never_be_filled_in_has_no_bytes_to_send(self, livetok, manager, receiver):
        mail = make_destination("", kind="email")
        make_rule("began_allowed", mail, action={"recipient": "{{ customer.email }}", "subject": "x", "text": "y"})
        happen(livetok, "call-1")

        assert "nothing to send" in text_of(self.send(manager, Delivery.objects.get(), "same"))
        assert states() == ["failed"]

    def test_a_whatsapp_message_that_may_have_arrived_goes_again_only_by_who_knows_it(self, livetok, manager, receiver):
        to = make_destination(f"{receiver.url}/v1", kind="whatsapp")
        make_rule("began_allowed", to, action={"recipient": "{{ session.number }}", "template_name": "hello"})
        receiver.answer = Reply(502)
        happen(livetok, "call-1")
        send_due()
        delivery = Delivery.objects.get()

        page = text_of(manager.get(f"{LIST}{delivery.pk}/again/"))
        assert "may get it twice" in page
        assert "Home › Automations › Deliveries ›" in page
        for way in ("same", "new"):
            assert "say that it may arrive twice" in text_of(self.send(manager, delivery, way))
        assert states() == ["unknown"]
        self.send(manager, delivery, "same", may_arrive_twice="on")
        assert states() == ["waiting"]

    def test_a_usage_alert_is_filled_in_with_its_limit(self, livetok, manager, destination):
        make_customer(make_tier("small", limit("call_minutes", 10, "month")), "+15550009")
        body = '{"used": "{{ usage.used }}", "of": "{{ usage.amount }}"}'
        make_rule("usage_reached", destination, thresholds=[50], action={"body": body})
        call = {"sessionId": "long", "kind": "telephony"}
        livetok.begin(**call, phoneNumber="+15550009", timestamp=(timezone.now() - timedelta(minutes=6)).isoformat())
        livetok.end(**call, duration=360, timestamp=timezone.now().isoformat())
        judge_and_send()
        self.send(manager, Delivery.objects.get(), "new")

        first, second = Delivery.objects.order_by("pk")
        assert bytes(first.body) == bytes(second.body) == b'{"used": 6.0, "of": 10}'

    def test_viewers_may_not(self, viewer, failed):
        assert "Send again" not in text_of(page_of(viewer, failed))
        assert viewer.get(f"{LIST}{failed.pk}/again/").status_code == 403
        assert viewer.post(f"{LIST}{failed.pk}/again/", {"way": "same"}).status_code == 403
        viewer.post(LIST, {"action": "send_chosen_again", "_selected_action": [failed.pk], "way": "same"})
        assert states() == ["failed"]


class TestSendingManyAgain:
    @pytest.fixture(autouse=True)
    def _failed(self, livetok, receiver, destination):
        make_rule("began_allowed", destination)
        receiver.answer = Reply(400)
        happen(livetok, *(f"s{number}" for number in range(7)))
        send_due()

    def act(self, client, query="", **data):
        chosen = {"action": "send_chosen_again", "_selected_action": [Delivery.objects.order_by("pk")[0].pk]}
        return client.post(f"{LIST}{query}", {**chosen, **data}, follow=True)

    def test_all_that_a_filter_finds_are_counted_first_and_then_sent_in_pieces(
        self, manager, monkeypatch, livetok, destination
    ):
        monkeypatch.setattr(again, "PIECE", {"same": 2, "new": 2})
        page = self.act(manager, "?state=failed", select_across="1", index="0")
        assert "7 deliveries were chosen" in text_of(page)
        assert states() == ["failed"] * 7
        newest = page.context["newest"]
        happen(livetok, "later")
        Delivery.objects.filter(session__session_id="later").update(
            state="failed", finished_at=timezone.now(), attempts_made=1
        )

        page = self.act(manager, "?state=failed", select_across="1", way="same", newest=newest)
        assert "7 deliveries are on the way again" in text_of(page)
        assert states() == ["waiting"] * 7 + ["failed"]
        assert LogEntry.objects.count() == 7

    def test_only_those_that_were_chosen_go(self, manager):
        self.act(manager, way="new")

        assert states() == ["failed"] * 7 + ["waiting"]

    def test_more_than_ten_thousand_are_refused(self, manager, monkeypatch):
        monkeypatch.setattr("automations.admin.again.MOST_AT_ONCE", 6)
        page = self.act(manager, "?state=failed", select_across="1", way="same")

        assert "Filter for fewer" in text_of(page)
        assert states() == ["failed"] * 7

    def test_what_cannot_be_sent_is_counted_by_its_reason(self, manager):
        Action.objects.all().delete()
        page = self.act(manager, select_across="1", way="new")

        assert "7 left alone" in text_of(page)
