"""Top-ups as staff meet them: the customer's page and its form, the admin, a session's page, statements, erasing."""

import csv
from io import StringIO

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from customers.limits import Period
from customers.models import Customer, TopUp
from customers.personal.erasing import begin_erasing
from sessions_app.billing.closing import close_month
from sessions_app.billing.corrections import corrections_of
from sessions_app.billing.statements import Month, count, roundings_now
from sessions_app.models import StatementLine, StatementMonth
from sessions_app.usage.often import filled_of
from sessions_app.usage.shares import full_days, group_sizes
from tests.builders import LiveTok, limit, make_customer, make_override, make_tier, make_top_up, moment, the_session
from tests.staff import form_of, staff, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db: None) -> Customer:
    return make_customer(make_tier("premium", limit("call_minutes", 0)))


@pytest.fixture
def manager(db: None):
    return staff("managers", "grace")


def page(client, customer: Customer) -> str:
    return text_of(client.get(f"/reports/customers/{customer.pk}/"))


def sent_by(client, customer: Customer, **changes) -> dict[str, str]:
    """What a browser would send of the form that the page shows, filled in so."""
    state = client.get(f"/reports/customers/{customer.pk}/top-up/").context["shown_state"]
    return {"_shown_state": str(state), "metric": "call_minutes", "amount": "", "last_day": "", "note": "", **changes}


def send(client, customer: Customer, **changes):
    address = f"/reports/customers/{customer.pk}/top-up/"
    return client.post(address, sent_by(client, customer, **changes), follow=True)


def test_a_manager_adds_one_and_the_page_says_what_is_left_and_who_is_let_in(ada, manager):
    assert "Would be denied" in page(manager, ada)

    answer = send(manager, ada, metric="call_minutes", amount="60", last_day="2999-12-31", note="paid")

    said = text_of(answer)
    assert "Ada: a top-up of 60 call minutes, valid to the end of 2999-12-31." in said
    top_up = TopUp.objects.get()
    assert (top_up.author.username, top_up.valid_until) == ("grace", moment("3000-01-01T00:00:00Z"))
    made = f"{top_up.created_at.day} {top_up.created_at:%B %Y}"
    assert f"Would be let in from the top-up of {made}: 60 of 60 minutes left" in said
    assert "Call minutes 60 60" in said
    assert "Top-up 60 call minutes added" in said


def test_one_that_is_sent_twice_is_added_once_and_a_stale_form_is_refused(ada, manager):
    address = f"/reports/customers/{ada.pk}/top-up/"
    sent = sent_by(manager, ada, metric="sessions", amount="5")

    first, again = manager.post(address, sent), manager.post(address, sent)

    assert (first.status_code, again.status_code, TopUp.objects.count()) == (302, 302, 1)
    other = staff("managers", "alan").post(address, sent)
    assert (other.status_code, TopUp.objects.count()) == (409, 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": ""}, "Give the amount as a whole number, such as 60."),
        ({"amount": "0"}, "Give 1 or more."),
        ({"amount": "5", "last_day": "2020-01-01"}, "Give a day from today"),
        ({"amount": "5", "last_day": "3000-01-01"}, "Give a day up to 2999-12-31, or leave it empty."),
        ({"amount": "5", "last_day": "soon"}, "Give a day as year, month and day"),
        ({"amount": "9" * 20}, "Give 2,147,483,647 at most."),
        ({"amount": "5", "note": "n" * 201}, "at most 200 characters"),
        ({"amount": "5", "metric": "messages"}, "messages is not one of the available choices"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(ada, manager, changes, words):
    answer = send(manager, ada, **changes)

    assert (answer.status_code, TopUp.objects.count()) == (400, 0)
    assert words in text_of(answer)


def test_who_may_not_add_one_has_no_button_and_no_form(ada, manager):
    User.objects.get(username="grace").groups.get().permissions.remove(Permission.objects.get(codename="add_topup"))

    assert "Add a top-up" not in page(manager, ada)
    assert manager.get(f"/reports/customers/{ada.pk}/top-up/").status_code == 403


def test_a_sessions_page_says_which_top_up_let_it_in(livetok: LiveTok, ada):
    make_top_up(ada, "call_minutes", 60, created_at=moment("2024-11-12T08:00:00Z"))
    livetok.begin(sessionId="before", timestamp="2024-03-15T08:00:00Z")
    livetok.end(sessionId="before", timestamp="2024-03-15T08:30:00Z", duration=1800)
    livetok.begin(sessionId="drew", timestamp="2024-03-15T10:00:00Z")

    text = text_of(staff("viewers").get(f"/reports/sessions/{the_session('drew').pk}/"))

    assert "Used up, and let in from the top-up of 12 November 2024: 30 of 60 minutes left" in text


def test_days_are_full_without_what_was_drawn(livetok: LiveTok):
    ada = make_customer(make_tier("premium", limit("call_minutes", 60)))
    make_top_up(ada, "call_minutes", 600)
    with time_machine.travel("2024-03-15T20:00:00Z"):
        for session_id, begin, minutes in (("1", "08:00", 59), ("2", "10:00", 1), ("3", "11:00", 45)):
            livetok.begin(sessionId=session_id, timestamp=f"2024-03-15T{begin}:00Z")
            livetok.end(sessionId=session_id, timestamp="2024-03-15T12:00:00Z", duration=minutes * 60)
        viewer, now = staff("viewers"), timezone.now()
        assert "do not count yet. 1 Limits in force" in page(viewer, ada)
        assert full_days(now, days=30, share=1) == {ada.pk: 1}
        assert [len(filled.reached) for filled in filled_of([ada.pk], now)] == [1]
        ada.tier.limits.update(amount=61)
        assert "do not count yet. 0 Limits in force" in page(viewer, ada)
        assert full_days(now, days=30, share=1) == {}
        assert [len(filled.reached) for filled in filled_of([ada.pk], now)] == [0]
        # An open session that draws holds nothing of the day.
        make_override(ada, limit("call_minutes", 60))
        livetok.begin(sessionId="4", timestamp="2024-03-15T19:10:00Z")
        assert "of it held by open sessions" not in page(viewer, ada)
        ada.overrides.update(amount=100)
        assert group_sizes(now)[Period.DAY, "50-80"] == 1


def test_the_admin_adds_changes_and_keeps_a_used_one(livetok: LiveTok, ada):
    administrator = staff("administrators")
    used = make_top_up(ada, "call_minutes", 60)
    livetok.begin()
    address = f"/admin/customers/customer/{ada.pk}/change/"
    shown = form_of(administrator, address)

    refused = administrator.post(address, shown | {"top_ups-0-DELETE": "on"})
    metric = administrator.post(address, shown | {"top_ups-0-metric": "sessions"})
    done = administrator.post(address, shown | {"top_ups-0-amount": "90"})

    assert refused.status_code == 200
    assert "would require deleting the following protected related objects" in text_of(refused)
    assert "What a top-up is of stays what it was." in text_of(metric)
    assert done.status_code == 302
    used.refresh_from_db()
    assert (used.amount, used.metric) == (90, "call_minutes")


def test_statements_charge_no_minutes_from_top_ups_and_closed_months_keep_them(livetok: LiveTok):
    limits = limit("call_minutes", 10, "month"), limit("sessions", 9)
    with time_machine.travel("2024-02-01T00:00:00Z"):  # statements go by history
        ada = make_customer(make_tier("premium", *limits, price_per_minute_over="0.5", currency="EUR"))
    make_top_up(ada, "call_minutes", 20)
    for number, minutes in enumerate((12, 15, 9, 4)):  # 2 over; 24 from the top-up; denied after all that
        livetok.begin(sessionId=f"s{number}", timestamp=f"2024-03-15T1{number}:00:00Z")
        livetok.end(sessionId=f"s{number}", timestamp=f"2024-03-15T1{number}:30:00Z", duration=minutes * 60)
    march = Month(moment("2024-03-01T00:00:00Z").date())

    counted = count([ada.pk], march, roundings_now())[ada.pk]

    assert (counted.billed_call_seconds, counted.drawn_call_seconds) == (40 * 60, 24 * 60)
    close_month(march, User.objects.create_user("closer"))
    line = StatementLine.objects.get()
    assert (line.billed_call_seconds, line.drawn_call_seconds, line.over_seconds) == (2400, 1440, 360)
    viewer = staff("viewers")
    for address in (f"/reports/statements/{ada.pk}/2024-03/", "/reports/statements/?month=2024-03"):
        assert "24.00 from top-ups" in text_of(viewer.get(address)).replace("24 from", "24.00 from")
    content = b"".join(viewer.get("/reports/statements/?month=2024-03&format=csv").streaming_content).decode(
        "utf-8-sig"
    )
    [row] = csv.DictReader(StringIO(content))
    assert (float(row["Call minutes"]), float(row["From top-ups"]), float(row["Minutes over"])) == (40, 24, 6)
    # A corrected end is a correction of what was drawn, too.
    livetok.end(sessionId="s2", timestamp="2024-03-15T12:40:00Z", duration=60)
    [correction] = corrections_of(StatementMonth.objects.get(), [ada.pk]).values()
    assert (correction.counted.drawn_call_seconds, correction.over_seconds) == (-480, 0)


def test_erasing_takes_the_notes_and_leaves_the_top_ups(ada):
    top_up = make_top_up(ada, "sessions", 5, note="for Ada")

    begin_erasing(ada.pk, "grace")

    top_up.refresh_from_db()
    assert (top_up.note, top_up.amount) == ("", 5)
    assert list(TopUp.history.values_list("note", flat=True)) == [""]
