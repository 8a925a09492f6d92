"""Erasing a customer: what names the person goes everywhere, what was counted stays, and nothing comes back."""

import json
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from customers.importing.uploads import uploads_folder
from customers.models import Customer, Erasure
from customers.personal.erasing import begin_erasing, erase_further, erase_on_disk
from customers.personal.traces import Traces
from sessions_app.billing.statements import Month, count, roundings_now
from sessions_app.models import DailyUsage, Session, StatementLine, WebhookEvent
from sessions_app.packing import pack
from sessions_app.recording.erasing import erase_set_aside
from sessions_app.spool.files import Spool, SpooledRequest, files_set_aside, lines_of, set_aside, spool_files
from sessions_app.sums.proving import sum_differences
from sessions_app.usage.recount import differences
from tests.api import Api
from tests.builders import make_customer, the_session
from tests.personal import (
    EMAIL,
    NAME,
    NUMBER,
    SPELLED,
    erase_to_the_end,
    found_in,
    found_in_tables,
    hours_ago,
    known_person,
)
from tests.staff import staff, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    """Uploads and the places of downloads are every test's else, in other processes too."""
    settings.DATA_DIR = tmp_path


def counted_of(customer):
    """All that is counted of the customer: usage, this month's statement, and lines of closed months."""
    month = Month.holding(hours_ago(2).date())
    lines = StatementLine.objects.filter(customer_number=customer.pk)
    return (
        list(DailyUsage.objects.filter(customer=customer).order_by("pk").values()),
        count([customer.pk], month, roundings_now()),
        list(lines.order_by("pk").values("sessions", "seconds", "billed_seconds", "sum", "channels", "tier")),
        Session.objects.count(),
    )


def test_nothing_of_the_person_is_found_again_and_all_that_was_counted_stays(livetok):
    customer = known_person(livetok)
    assert {name.rpartition(".")[0] for name in found_in_tables()} >= {
        "automations_cachedcontext",
        "automations_delivery",
        "customers_customer",
        "customers_customerchange",
        "customers_historicalcustomer",
        "customers_historicalcustomerchange",
        "customers_historicallimitoverride",
        "customers_historicalphonenumber",
        "customers_limitoverride",
        "customers_phonenumber",
        "customers_searchkey",
        "django_admin_log",
        "sessions_app_callernumber",
        "sessions_app_session",
        "sessions_app_statementline",
        "sessions_app_supersededend",
        "sessions_app_webhookevent",
    }
    before = counted_of(customer)

    begin_erasing(customer.pk, "ana")
    erase_to_the_end(customer)

    assert found_in_tables() == {}
    reasons = set(Customer.history.filter(id=customer.pk).values_list("history_change_reason", flat=True))
    assert {(reason or "").split(" ")[0] for reason in reasons} == {"", "API", "Scheduled"}
    assert counted_of(customer) == before
    assert [*differences(), *sum_differences()] == []
    erasure = Erasure.objects.get()
    assert (erasure.by, erasure.finished_at is not None, erasure.traces) == ("ana", True, {})
    assert (erasure.sessions, erasure.sessions_erased) == (5, 5)
    assert str(Customer.objects.get(pk=customer.pk)) == f"Erased customer {customer.pk}"


@pytest.mark.parametrize("is_packed", [True, False])
def test_a_young_session_still_answers_and_counts_and_is_erased_once_it_is_an_hour_old(livetok, is_packed):
    customer = make_customer(None, NUMBER, name=NAME)
    now = timezone.now()
    answer = livetok.begin(sessionId="young", phoneNumber=NUMBER, timestamp=now.isoformat())
    facts, trace = the_session("young").facts, the_session("young").trace
    if not is_packed:  # as it came before anything was
        Session.objects.update(packed_facts=None, packed_trace=None, plain_facts=facts, plain_trace=trace)

    begin_erasing(customer.pk, "ana")
    erase_further()

    assert livetok.begin(sessionId="young", phoneNumber=NUMBER, timestamp=now.isoformat()) == answer
    assert the_session("young").customer_id == customer.pk
    livetok.end(sessionId="young", phoneNumber=NUMBER, duration=60, timestamp=(now + timedelta(seconds=60)).isoformat())
    erase_to_the_end(customer)
    session = the_session("young")
    assert (session.is_erased, session.end_body, session.duration_seconds) == (True, None, 60)
    assert (session.facts, session.trace, session.call_hold_minutes) == ({}, trace, None)
    assert [*differences(), *found_in_tables()] == []


def test_what_comes_late_for_an_erased_session_brings_nobody_back(livetok):
    customer = make_customer(None, NUMBER, name=NAME)
    began = hours_ago(3)
    with time_machine.travel(began):
        livetok.begin(sessionId="ended", phoneNumber=NUMBER, timestamp=began.isoformat())
        livetok.end(sessionId="ended", phoneNumber=NUMBER, duration=60, timestamp=began.isoformat())
        livetok.begin(sessionId="open", phoneNumber=NUMBER, timestamp=began.isoformat())
        livetok.end(sessionId="only-end", phoneNumber=NUMBER, duration=60, timestamp=began.isoformat())
    begin_erasing(customer.pk, "ana")
    erase_to_the_end(customer)

    # The begins again, or late; an end late, without a caller, again, corrected.
    assert livetok.begin(sessionId="ended", phoneNumber=NUMBER, timestamp=began.isoformat())["context"] == {}
    before = (began - timedelta(seconds=30)).isoformat()
    assert livetok.begin(sessionId="only-end", phoneNumber=NUMBER, timestamp=before)["context"] == {}
    livetok.end(sessionId="open", phoneNumber=NUMBER, duration=90, timestamp=began.isoformat())
    livetok.end(sessionId="open", phoneNumber=NUMBER, duration=99, timestamp=began.isoformat())
    livetok.end(sessionId="ended", phoneNumber=NUMBER, duration=61, timestamp=began.isoformat())

    assert found_in_tables() == {}
    assert [*differences(), *sum_differences()] == []
    assert (the_session("open").duration_seconds, the_session("ended").duration_seconds) == (90, 60)
    assert Customer.objects.count() == Erasure.objects.count() == 1
    assert set(WebhookEvent.objects.values_list("body", flat=True)) == {None}


def test_an_end_that_names_no_caller_keeps_no_body_either(livetok):
    customer = make_customer(None, NUMBER, name=NAME)
    began = hours_ago(3)
    with time_machine.travel(began):
        livetok.begin(sessionId="open", phoneNumber=NUMBER, timestamp=began.isoformat())
    begin_erasing(customer.pk, "ana")
    erase_to_the_end(customer)

    livetok.end(sessionId="open", phoneNumber=..., duration=90, customerName=NAME, timestamp=began.isoformat())

    assert (the_session("open").duration_seconds, found_in_tables()) == (90, {})


def test_the_number_calls_as_a_strangers_afterwards_and_nobody_can_edit_what_is_left(livetok):
    customer = make_customer(None, NUMBER, name=NAME)
    began = hours_ago(3)
    with time_machine.travel(began):
        livetok.begin(sessionId="1", phoneNumber=NUMBER, timestamp=began.isoformat())
    begin_erasing(customer.pk, "ana")
    erase_to_the_end(customer)

    # LiveTok's id is used again as well, by the same person.
    livetok.begin(sessionId="1", phoneNumber=NUMBER, timestamp=timezone.now().isoformat())
    new = the_session("1", number=1).customer
    assert (new.pk != customer.pk, new.source) == (True, Customer.Source.FIRST_CONTACT)
    api = Api("manage")
    answer = api.put(f"/api/v1/customers/{customer.pk}/", {"name": NAME, "numbers": [NUMBER]}, status=409)
    assert answer == {"detail": "This customer was erased, and stays as it is."}
    for row in ({"name": NAME}, {"external_id": "crm-7"}, {"numbers": ["+15550001111"]}):
        [answer] = api.post("/api/v1/customers/bulk/", [{"id": customer.pk, **row}])["results"]
        assert (answer["status"], list(answer["errors"])) == (409, ["id"]), answer
    refused = api.request("DELETE", f"/api/v1/customers/{customer.pk}/")
    assert (refused.status_code, json.loads(refused.content)["detail"][:25]) == (409, "This customer was erased,")
    administrator = staff("administrators")
    page = f"/admin/customers/customer/{customer.pk}/change/"
    assert b'name="_save"' not in administrator.get(page).content
    assert administrator.post(page, {"name": NAME}).status_code == 403
    administrator.post("/admin/customers/customer/", {"action": "block", "_selected_action": [customer.pk]})
    administrator.post(f"/reports/customers/{customer.pk}/status/", {"status": "blocked", "shown": "active"})
    for form in ("more", "tier"):
        assert administrator.get(f"/reports/customers/{customer.pk}/{form}/").status_code == 302
    customer.refresh_from_db()
    assert (customer.status, str(customer)) == ("active", f"Erased customer {customer.pk}")


def test_a_kill_leaves_each_session_as_it_was_or_erased_and_the_rest_goes_on(livetok, monkeypatch):
    customer = make_customer(None, NUMBER, name=NAME)
    began = hours_ago(3)
    with time_machine.travel(began):
        for number in range(5):
            livetok.begin(sessionId=f"s{number}", phoneNumber=NUMBER, timestamp=began.isoformat())
    monkeypatch.setattr("sessions_app.recording.erasing.SESSIONS_AT_ONCE", 2)
    begin_erasing(customer.pk, "ana")
    batches = iter([False, False, True])

    erase_further(lambda: next(batches, True))

    erasure = Erasure.objects.get()
    assert 0 < erasure.sessions_erased < erasure.sessions == 5
    assert Session.objects.filter(flags__contains="erased").count() == erasure.sessions_erased
    assert f"{erasure.sessions_erased} of 5 sessions so far" in text_of(
        staff("viewers").get(f"/reports/customers/{customer.pk}/")
    )
    erase_to_the_end(customer)
    erasure.refresh_from_db()
    assert (erasure.sessions_erased, found_in_tables()) == (5, {})


def test_requests_that_waited_on_another_machines_disk_are_erased_with_whom_they_made(livetok):
    customer = make_customer(None, NUMBER, name=NAME)
    erasure = begin_erasing(customer.pk, "ana")
    # Fed after it, received before it.
    with time_machine.travel(erasure.requested_at - timedelta(minutes=1), tick=False):
        livetok.begin(sessionId="waited", phoneNumber=NUMBER, timestamp=timezone.now().isoformat())
    made = the_session("waited").customer
    Customer.objects.filter(pk=made.pk).update(created_at=erasure.requested_at + timedelta(seconds=1))

    erase_to_the_end(customer)
    erase_to_the_end(made)

    assert (found_in_tables(), Erasure.objects.filter(finished_at=None).count()) == ({}, 0)


def test_nobody_is_erased_while_requests_wait_on_disk(livetok):
    customer = make_customer(None, NUMBER, name=NAME)
    administrator = staff("administrators")
    Spool().append(SpooledRequest(timezone.now(), "end", b"{}", 200, "LiveTok", "10.0.0.1", 1.0))

    answer = Api("manage").post(f"/api/v1/customers/{customer.pk}/erase/", None, status=409)
    page = administrator.post(f"/reports/customers/{customer.pk}/erase/", {"word": "erase"})

    assert answer["detail"].startswith("Requests of LiveTok wait on disk")
    assert "Requests of LiveTok wait on disk" in text_of(page)
    assert not Erasure.objects.exists()

    # One of them can never be stored; somebody else's neither.
    for body in (f'{{"phoneNumber": "{SPELLED}"}}', '{"phoneNumber": "+491700000000"}'):
        Spool().append(SpooledRequest(timezone.now(), "end", body.encode(), 200, "LiveTok", "10.0.0.1", 1.0))
    for path in spool_files():
        for line in lines_of(path):
            set_aside(line)
        path.unlink()
    begin_erasing(customer.pk, "ana")
    erase_on_disk(erase_set_aside)
    assert [line.request().body for path in files_set_aside() for line in lines_of(path)] == [
        b"{}",
        b'{"phoneNumber": "+491700000000"}',
    ]


@pytest.mark.parametrize(
    ("text", "is_of_them"),
    [
        ("ZOË QUISLING-YPSILANTI called", True),
        ("zoë  quisling-ypsilanti", True),
        (json.dumps(NAME), True),
        (json.dumps(NAME.upper()), True),
        (json.dumps(NAME).replace("\\u00eb", "\\u00EB"), True),
        ("Zoe.Quisling@Example.org", True),
        ("Zoë Quisling-Ypsilanti2", False),
        ("zoe.quisling@example.orga", False),
    ],
)
def test_a_person_is_found_by_name_and_address_in_capitals_or_not(text, is_of_them):
    assert Traces(texts=(NAME, EMAIL)).are_in(text) is is_of_them


@pytest.mark.parametrize("group", ["viewers", "managers"])
def test_only_administrators_erase_and_export(livetok, group):
    customer = make_customer(None, NUMBER, name=NAME)
    client = staff(group)

    for page in ("erase", "export"):
        assert client.get(f"/reports/customers/{customer.pk}/{page}/").status_code == 403
    assert client.post(f"/reports/customers/{customer.pk}/erase/", {"word": "erase"}).status_code == 403
    assert b"Erase" not in client.get(f"/reports/customers/{customer.pk}/").content
    assert Api("read").request("POST", f"/api/v1/customers/{customer.pk}/erase/").status_code == 403
    assert Api("read").request("GET", f"/api/v1/customers/{customer.pk}/export/").status_code == 403
    assert not Erasure.objects.exists()


def test_all_that_is_known_is_a_file_and_the_page_says_what_goes_asks_and_erases(livetok):
    customer = known_person(livetok)
    administrator = staff("administrators", "ada")
    assert_all_is_exported(customer, administrator)
    address = f"/reports/customers/{customer.pk}/erase/"
    upload = uploads_folder() / ("a" * 32)
    upload.parent.mkdir(exist_ok=True)
    upload.write_text(NAME)

    shown = text_of(administrator.get(address))
    assert "Sessions 5 LiveTok's id, times, duration" in shown
    assert "Numbers 1 nothing" in shown
    refused = text_of(administrator.post(address, {"word": "yes"}))
    assert ("Type “erase”, or go back" in refused, Erasure.objects.exists()) == (True, False)
    chosen = {"action": "erase", "_selected_action": [customer.pk]}
    assert administrator.post("/admin/customers/customer/", chosen)["Location"] == address
    done = administrator.post(address, {"word": " Erase "}, follow=True)

    assert "This customer is being erased. By ada" in text_of(done)
    assert not upload.exists()
    listed = text_of(administrator.get("/admin/customers/erasure/"))
    assert f"Erased customer {customer.pk}" in listed
    assert NAME not in listed
    answer = Api("read").get(f"/api/v1/customers/{customer.pk}/erase/")
    assert (answer["by"], answer["sessions"], answer["finished_at"]) == ("ada", 5, None)


def assert_all_is_exported(customer, administrator):
    answer = Api("manage").request("GET", f"/api/v1/customers/{customer.pk}/export/")
    page = administrator.get(f"/reports/customers/{customer.pk}/export/")

    known = json.loads(b"".join(answer.streaming_content))
    assert json.loads(b"".join(page.streaming_content)).keys() == known.keys()
    assert page["Content-Disposition"] == f'attachment; filename="customer-{customer.pk}.json"'
    counts = {name: len(rows) for name, rows in known.items() if isinstance(rows, list)}
    assert min(counts.values()) > 0, counts
    assert {name: counts[name] for name in ("sessions", "statements", "deliveries", "answers_of_sources")} == {
        "sessions": 5,
        "statements": 1,
        "deliveries": 1,
        "answers_of_sources": 2,
    }
    [corrected] = [session for session in known["sessions"] if session["session_id"] == "past-2"]
    assert json.loads(corrected["begin_body"])["phoneNumber"] == SPELLED
    assert (len(corrected["superseded_ends"]), len(corrected["requests"])) == (1, 3)
    assert (corrected["facts"]["caller"], corrected["trace"][0]) == (
        "customer",
        {"check": "emergency_deny", "note": "off"},
    )
    assert not [name for name in corrected if name.startswith(("packed_", "plain_"))]
    assert json.loads(known["deliveries"][0]["body"]) == {"who": NAME, "n": SPELLED}


def test_the_search_for_traces_finds_them_in_what_is_packed_among_other_bytes():
    said = json.dumps(
        {"event": "session_begin", "sessionId": "s", "phoneNumber": NUMBER, "customerName": NAME}
    ).encode()
    assert pack(said) != said
    assert found_in(pack(said)) == found_in(said) != []
    assert found_in(pack(said)[:-5] + b"\xff" * 9) == found_in(said)  # its end is gone
    assert found_in(b"\x00H" * 7 + pack(said) + pack(b"{}" * 99) + b"\xff" * 9) == found_in(said)
