"""What staff change from a customer's report page: more of a limit for a while, the tier, paused and let in again."""

import re
from datetime import date
from html import unescape

import pytest
import time_machine
from django.contrib.messages import get_messages
from django.http import HttpResponse

from customers.history import history_of
from customers.models import Customer, LimitOverride
from sessions_app.billing.statements import Month, statements
from sessions_app.reports import customer_changes
from sessions_app.reports.customer_changes import PARTS
from tests.builders import LiveTok, limit, make_customer, make_override, make_tier, moment
from tests.staff import staff, text_of

# A Friday, half past ten in the company's zone.
NOW = moment("2024-03-15T10:30:00+00:00")
FRIDAY = moment("2024-03-16T00:00:00+00:00")
WEDNESDAY = moment("2024-03-20T00:00:00+00:00")
APRIL = moment("2024-04-01T00:00:00+00:00")
LATER = moment("2024-06-01T00:00:00+00:00")
PLANNED = (
    "Another override of this limit (150 call minutes a day) begins Wed 20 Mar 2024, 00:00:00 and allows more. Choose "
    "an earlier end or a higher number, or change that one in the admin."
)
APART = (
    "Another override of this limit (0 call minutes a day) is planned from Mon 18 Mar 2024, 00:00:00 until Wed 20 Mar "
    "2024, 00:00:00, and would be lost. Choose an earlier end, or remove that one in the admin."
)
TOO_MUCH = "Give a new limit of 2,147,483,647 at most, or an override without an amount in the admin."
TOO_LATE = "Give a day up to 2999-12-31, or an override without an end in the admin."
REPLACED = " It replaces 70 call minutes a day, planned from Sat 16 Mar 2024, 00:00:00 until Wed 20 Mar 2024, 00:00:00."
MINUTES = "call_minutes_day"


@pytest.fixture(autouse=True)
def _now():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ana(db):
    return staff("administrators")


@pytest.fixture
def ada(ana) -> Customer:
    tier = make_tier("premium", limit("call_minutes", 60), limit("sessions", 9, "month"), limit("messages", 20))
    return make_customer(tier, name="Ada")


def address(customer: Customer, what: str) -> str:
    return f"/reports/customers/{customer.pk}/{what}/"


def filled_in(page: HttpResponse) -> dict[str, str]:
    """What a browser would send back."""
    form = page.context["form"]
    sent = {name: str(form[name].value() or "") for name in form.fields}
    return sent | {"_shown_state": str(page.context["shown_state"])}


def send(client, customer: Customer, what: str = "more", **given: str) -> HttpResponse:
    """Open the page, fill in some fields and send it."""
    return client.post(address(customer, what), filled_in(client.get(address(customer, what))) | given)


def said(response: HttpResponse) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def use_up(livetok: LiveTok, minutes: int) -> None:
    livetok.begin(sessionId="used", timestamp="2024-03-15T08:00:00Z")
    livetok.end(sessionId="used", timestamp="2024-03-15T10:00:00Z", duration=minutes * 60)


def rows_of(customer: Customer) -> list[tuple]:
    """Earliest first."""
    rows = LimitOverride.objects.filter(customer=customer)
    found = [(row.amount, row.valid_from, row.valid_until, row.note) for row in rows]
    return sorted(found, key=lambda row: (row[1] is not None, row[1]))


def test_more_of_the_limit_that_denies_is_given_with_one_number_and_an_end(ana, ada, livetok: LiveTok):
    use_up(livetok, 61)
    assert livetok.begin(sessionId="denied", timestamp="2024-03-15T10:20:00Z")["allowed"] is False

    page = ana.get(address(ada, "more"))
    assert "Would be denied 61 of 60 call minutes used today" in text_of(page)
    assert "End of Friday, Fri 15 Mar 2024" in text_of(page)
    assert page.context["form"]["limit"].value() == MINUTES
    given = ana.post(address(ada, "more"), filled_in(page) | {"amount": "90", "until": "friday", "note": "moving"})

    assert given.status_code == 302, text_of(given)
    assert said(given) == ["Ada: call minutes a day, 90 until the end of Fri 15 Mar 2024 (UTC)."]
    assert rows_of(ada) == [(90, None, FRIDAY, "moving")]
    override = LimitOverride.objects.get()
    assert (override.author, override.history.get().history_user) == (ana.user, ana.user)
    # Also for a clock of LiveTok's that is behind.
    assert livetok.begin(sessionId="again", timestamp="2024-03-15T10:29:00Z")["allowed"] is True


@pytest.mark.parametrize(
    ("stored", "then"),
    [
        ({"valid_until": FRIDAY}, [(90, None, FRIDAY, "vip")]),
        # What held longer holds again, from the end of this one on.
        ({}, [(90, None, FRIDAY, "vip"), (70, FRIDAY, None, "vip")]),
        ({"valid_until": LATER}, [(90, None, FRIDAY, "vip"), (70, FRIDAY, LATER, "vip")]),
        # What is over stays as it was.
        ({"valid_until": NOW}, [(70, None, NOW, "vip"), (90, NOW, FRIDAY, "")]),
        ({"valid_from": FRIDAY}, [(90, None, FRIDAY, ""), (70, FRIDAY, None, "vip")]),
        ({"valid_from": FRIDAY, "valid_until": LATER}, [(90, None, FRIDAY, ""), (70, FRIDAY, LATER, "vip")]),
    ],
)
def test_an_override_that_is_there_is_neither_lost_nor_doubled(ana, ada, stored, then):
    make_override(ada, limit("call_minutes", 70), note="vip", **stored)

    response = send(ana, ada, amount="90", until="today")

    assert response.status_code == 302, text_of(response)
    assert rows_of(ada) == then


@pytest.mark.parametrize(
    ("stored", "then", "told"),
    [
        # What an earlier grant left for afterwards begins later still.
        (
            [(90, {"valid_until": FRIDAY}), (70, {"valid_from": FRIDAY})],
            [(100, None, APRIL, "vip"), (70, APRIL, None, "vip")],
            " 70 call minutes a day, planned from Sat 16 Mar 2024, 00:00:00, begins then.",
        ),
        (
            [(90, {"valid_until": FRIDAY}), (70, {"valid_from": FRIDAY, "valid_until": WEDNESDAY})],
            [(100, None, APRIL, "vip")],
            REPLACED,
        ),
        # The same of what was planned beforehand, whether or not an override holds now.
        (
            [(70, {"valid_from": FRIDAY, "valid_until": LATER})],
            [(100, None, APRIL, ""), (70, APRIL, LATER, "vip")],
            " 70 call minutes a day, planned from Sat 16 Mar 2024, 00:00:00, begins then.",
        ),
    ],
)
def test_more_is_given_over_what_is_planned_which_holds_afterwards(ana, ada, stored, then, told):
    for amount, validity in stored:
        make_override(ada, limit("call_minutes", amount), note="vip", **validity)
    kept = LimitOverride.objects.get(amount=70)

    given = send(ana, ada, amount="100", until="month")

    assert given.status_code == 302, text_of(given)
    assert said(given) == [f"Ada: call minutes a day, 100 until the end of Sun 31 Mar 2024 (UTC).{told}"]
    assert rows_of(ada) == then
    # One save in the history; what was planned stays the same row.
    assert len(history_of(Customer, ada.pk, PARTS)) == 2
    assert [row.pk for row in LimitOverride.objects.filter(amount=70)] == [kept.pk] * (len(then) - 1)


@pytest.mark.parametrize(
    ("given", "field", "error"),
    [
        ({"amount": ""}, "amount", "Give the new limit as a whole number, such as 150."),
        ({"amount": "a lot"}, "amount", "Give the new limit as a whole number, such as 150."),
        ({"amount": "60"}, "amount", "Give 62 or more: the limit is 60 now, and 61 are used."),
        ({"amount": "61"}, "amount", "Give 62 or more: the limit is 60 now, and 61 are used."),
        ({"amount": "2147483648"}, "amount", TOO_MUCH),
        ({"until": ""}, "until", "Choose until when it holds."),
        ({"until": "date"}, "day", "Give the day, such as 2026-12-04, or choose one of the others."),
        ({"until": "date", "day": "4.12."}, "day", "Give a day as year, month and day, such as 2026-12-04."),
        ({"until": "date", "day": "2024-03-14"}, "day", "Give a day from today, 2024-03-15, on."),
        ({"until": "date", "day": "3000-01-01"}, "day", TOO_LATE),
        ({"day": "2024-03-20"}, "day", "You chose another end above. Choose “Another day”, or empty this field."),
        ({"until": "month"}, "until", PLANNED),
        ({"until": "month", "amount": "150"}, "until", APART),
    ],
)
def test_bad_input_is_named_with_its_remedy_and_what_was_typed_is_kept(ana, ada, livetok: LiveTok, given, field, error):
    use_up(livetok, 61)
    monday = moment("2024-03-18T00:00:00+00:00")
    make_override(ada, limit("call_minutes", 0), valid_from=monday, valid_until=WEDNESDAY)
    make_override(ada, limit("call_minutes", 150), valid_from=WEDNESDAY)
    before = rows_of(ada)

    refused = send(ana, ada, **{"amount": "100", "until": "today", "note": "typed", **given})

    assert refused.status_code == 400
    assert refused.context["form"].errors == {field: [error]}
    assert error in text_of(refused)
    assert refused.context["form"]["note"].value() == "typed"
    assert rows_of(ada) == before


def test_the_day_alone_is_enough_and_the_limit_may_come_with_the_address(ana, ada):
    page = ana.get(f"{address(ada, 'more')}?limit=sessions_month")
    assert page.context["form"]["limit"].value() == "sessions_month"

    ana.post(address(ada, "more"), filled_in(page) | {"amount": "20", "day": "2024-03-20"})

    assert rows_of(ada) == [(20, None, moment("2024-03-21T00:00:00+00:00"), "")]


@pytest.mark.parametrize(
    ("zone", "until", "day", "ends"),
    [
        ("America/Los_Angeles", "month", "Sun 31 Mar 2024", moment("2024-04-01T07:00:00+00:00")),
        # It is Saturday there already.
        ("Pacific/Kiritimati", "today", "Sat 16 Mar 2024", moment("2024-03-16T10:00:00+00:00")),
    ],
)
def test_days_and_months_end_in_the_customers_time_as_limits_and_statements(ana, zone, until, day, ends):
    ada = make_customer(make_tier("basic", limit("call_minutes", 300, "month")), name="Ada", time_zone=zone)

    assert f"Until the day is over in {zone}, the customer's time zone" in text_of(ana.get(address(ada, "more")))
    given = send(ana, ada, amount="500", until=until)

    assert said(given) == [f"Ada: call minutes a month, 500 until the end of {day} ({zone})."]
    assert rows_of(ada) == [(500, None, ends, "")]
    [march] = statements([ada], Month(date(2024, 3, 1)), {})
    assert march.included_minutes == (500 if until == "month" else 300)


def test_who_was_first_is_told_and_what_the_second_typed_is_kept(ana, ada):
    bob = staff("administrators", "bob")
    opened = filled_in(ana.get(address(ada, "more"))) | {"amount": "100", "until": "today"}
    assert send(bob, ada, amount="90", until="month", note="Bob's").status_code == 302

    refused = ana.post(address(ada, "more"), opened)

    assert refused.status_code == 409
    assert "– bob added Limit override: 90 call minutes a day" in text_of(refused)
    assert refused.context["form"]["amount"].value() == "100"
    assert rows_of(ada) == [(90, None, moment("2024-04-01T00:00:00+00:00"), "Bob's")]
    assert ana.post(address(ada, "more"), filled_in(refused)).status_code == 302
    assert [row[0] for row in rows_of(ada)] == [100, 90]
    # The same for a status, which is one button of the customer's page.
    shown = {"shown": "active", "status": "paused"}
    assert said(ana.post(address(ada, "status"), shown))[-1].startswith("Ada is paused")
    assert "Nothing was changed: Ada is paused meanwhile" in said(bob.post(address(ada, "status"), shown))[-1]


def test_what_is_saved_after_an_error_was_found_is_not_overlooked(ana, ada, monkeypatch):
    bob = staff("administrators", "bob")
    opened, show = filled_in(ana.get(address(ada, "more"))), customer_changes._form_page

    def after_bob(*args, **kwargs):
        monkeypatch.undo()
        assert send(bob, ada, amount="90", until="month").status_code == 302
        return show(*args, **kwargs)

    monkeypatch.setattr(customer_changes, "_form_page", after_bob)
    wrong = ana.post(address(ada, "more"), opened | {"amount": "much", "until": "today"})
    # From the page itself: the test client takes what was rendered for Bob meanwhile for Ana's.
    [state] = re.findall(r'name="_shown_state" value="([^"]+)"', wrong.content.decode())
    sent = opened | {"_shown_state": unescape(state), "amount": "100", "until": "today"}
    refused = ana.post(address(ada, "more"), sent)

    assert (wrong.status_code, refused.status_code) == (400, 409)
    assert "– bob added Limit override: 90 call minutes a day" in text_of(refused)
    assert [row[0] for row in rows_of(ada)] == [90]


def test_who_clicks_twice_is_told_what_came_of_the_first(ana, ada):
    business = make_tier("business", limit("call_minutes", 70))
    for what, given, other in (
        ("more", {"amount": "90", "until": "friday", "note": "moving"}, {"amount": "80"}),
        ("tier", {"tier": str(business.pk)}, {"tier": str(ada.tier_id)}),
    ):
        form = filled_in(ana.get(address(ada, what))) | given
        first = ana.post(address(ada, what), form)
        saves = history_of(Customer, ada.pk, PARTS)

        assert "you saved other values yourself" in text_of(ana.post(address(ada, what), form | other))
        twice = ana.post(address(ada, what), form)

        assert (twice.status_code, said(twice)[-1]) == (302, said(first)[-1])
        assert history_of(Customer, ada.pk, PARTS) == saves
    pause = {"shown": "active", "status": "paused"}
    assert said(ana.post(address(ada, "status"), pause))[-1] == said(ana.post(address(ada, "status"), pause))[-1]
    assert ada.history.count() == 3


def test_tier_and_status_are_changed_with_who_did_it(ana, ada, livetok: LiveTok):
    business, old = make_tier("business"), make_tier("old", is_active=False)
    refused = send(ana, ada, "tier", tier=str(old.pk))
    assert refused.context["form"].errors == {"tier": ["This tier is not offered any more. Choose another one."]}

    changed = send(ana, ada, "tier", tier=str(business.pk))
    paused = ana.post(address(ada, "status"), {"shown": "active", "status": "paused"})

    ada.refresh_from_db()
    assert (ada.tier, ada.status) == (business, "paused")
    assert (said(changed), said(paused)[-1][:14]) == (["Ada is on tier Business."], "Ada is paused:")
    assert [row.history_user for row in ada.history.all()[:2]] == [ana.user, ana.user]
    page = ana.get(f"/reports/customers/{ada.pk}/")
    assert "Would be denied the customer is paused" in text_of(page)
    assert "Let in again" in text_of(page)
    ana.post(address(ada, "status"), {"shown": "paused", "status": "active"})
    assert livetok.begin()["allowed"] is True
    assert said(ana.post(address(ada, "status"), {"shown": "active", "status": "gone"}))[-1].startswith("Nothing was")


@pytest.mark.parametrize("what", ["more", "tier", "status"])
def test_who_may_not_change_customers_sees_no_button_and_changes_nothing(ana, ada, what):
    viewer = staff("viewers", "vic")
    assert "Allow more" not in text_of(viewer.get(f"/reports/customers/{ada.pk}/"))

    given = {"amount": "90", "until": "today", "shown": "active", "status": "paused"}
    assert viewer.post(address(ada, what), given).status_code == 403
    assert viewer.get(address(ada, what)).status_code == 403

    ada.refresh_from_db()
    assert (ada.status, rows_of(ada)) == ("active", [])
    assert ana.get(address(Customer(pk=ada.pk + 1), what)).status_code == (302 if what == "status" else 404)
