"""Everything that was changed: by whom, when, what, before and after; for whom it is; page by page."""

import html
import re
from datetime import timedelta
from itertools import pairwise

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from simple_history.utils import bulk_update_with_history

from config.changes import runs
from config.changes.kinds import kinds
from config.changes.places import EVERYBODY, KEYS, Wanted, newest_places
from config.changes.reading import Many, changes_page
from config.changes.runs import units
from customers.models import Customer
from tests.builders import limit, make_customer, make_override, make_tier, moment
from tests.staff import form_of, report_page, staff, text_of, with_row

NOW = moment("2026-03-14T10:40:00+00:00")
CHANGES_STATEMENTS = 22


def page(client, query=""):
    return report_page(client, f"changes/{query}", NOW)


def told(client, query=""):
    """Who changed what, and each field before and after."""
    return [
        (
            change.entry.who,
            f"{change.kind.name} {change.name}",
            change.words
            or [(row.action, row.what, {f.name: (f.before, f.after) for f in row.fields}) for row in change.entry.rows],
        )
        for change in page(client, query).context["changes"]
    ]


@pytest.fixture
def boss(db):
    boss = staff("administrators", "boss")
    with time_machine.travel(NOW - timedelta(hours=30), tick=False):
        customer = make_customer(make_tier("premium", limit("call_minutes", 60)), name="Ada")
    boss.customer = customer
    return boss


def test_a_save_tells_its_object_with_all_rows_before_and_after_and_leads_to_its_history(boss):
    path = f"/admin/customers/customer/{boss.customer.pk}/change/"
    with time_machine.travel(NOW, tick=False):
        form = {**form_of(boss, path), "status": "paused"}
        row = {"metric": "call_minutes", "period": "day", "amount": "90", "hard": "on", "note": "asked"}
        assert boss.post(path, with_row(form, "overrides", **row)).status_code == 302
    with time_machine.travel(NOW + timedelta(seconds=1), tick=False):
        form = {**form_of(boss, f"/admin/auth/user/{boss.user.pk}/change/"), "email": "boss@example.com"}
        assert boss.post(f"/admin/auth/user/{boss.user.pk}/change/", form).status_code == 302

    of_account, of_customer = told(boss)
    assert of_account[:2] == ("boss", "User boss")
    assert of_account[2].startswith("Changed Email address")
    assert of_customer[:2] == ("boss", "Customer Ada")
    assert of_customer[2][0] == ("changed", "Ada", {"Status": ("Active", "Paused")})
    action, what, fields = of_customer[2][1]
    assert (action, what, fields["Note"]) == ("added", "90 call minutes a day", ("–", "asked"))
    assert page(boss).context["changes"][1].address == f"/admin/customers/customer/{boss.customer.pk}/history/"
    assert "Status: Active → Paused" in text_of(report_page(boss, "/admin/", NOW))
    # Viewers see neither accounts nor API keys; who may see nothing has no such page.
    viewer = staff("viewers", "vic")
    assert [what for _, what, _ in told(viewer)] == ["Customer Ada"]
    assert "There is no “auth.user”." in text_of(page(viewer, "?kind=auth.user"))
    assert staff(None, "nobody").get("/reports/changes/").status_code == 403


def test_it_is_narrowed_by_person_day_and_kind(boss):
    other = User.objects.create_user("ben", is_staff=True)
    tier = boss.customer.tier
    for user, reason, name, ago in [
        (boss.user, None, "By boss", 1),
        (other, None, "By ben", 2),
        (None, "API key CRM", "By key", 3),
        (None, None, "By itself", 4),
        (other, None, "Yesterday", 20),
    ]:
        with time_machine.travel(NOW - timedelta(hours=ago), tick=False):
            tier.name, tier._history_user, tier._change_reason = name, user, reason
            tier.save()

    def names(query):
        return [dict(rows[0][2])["Name"][1] for _, _, rows in told(boss, query)]

    assert names("") == ["By boss", "By ben", "By key", "Yesterday"]
    assert names(f"?person={other.pk}") == ["By ben", "Yesterday"]
    assert names("?person=keys") == ["By key"]
    assert told(boss, "?person=keys")[0][0] == "API key CRM"
    assert names("?person=frontdesk&kind=customers.tier&day=2026-03-14") == ["By itself"]
    assert names("?day=2026-03-13") == ["Yesterday"]
    assert told(boss, "?kind=customers.customer") == []
    for query in ("?person=nobody", "?day=14.3.", "?kind=x", "?after=x", "?before=2026-03-14T10:40:00.000000Z_1"):
        assert "Some filters cannot be used" in text_of(page(boss, query)), query


def test_pages_follow_each_other_without_gap_and_cost_the_same(boss, monkeypatch):
    monkeypatch.setattr(runs, "AT_ONCE", 20)
    others = [make_customer(boss.customer.tier, f"+1555{number:07}", name=f"C{number}") for number in range(7)]
    with time_machine.travel(NOW - timedelta(hours=1), tick=False) as clock:
        for number in range(40):
            # Of one moment too: then model and row alone tell places apart.
            clock.shift(timedelta(seconds=number % 3))
            phone = boss.customer.numbers.get()
            boss.customer.name, phone.number = f"Ada {number}", f"+1 555 {number:04}"
            for row in (boss.customer, phone):
                row._history_user = boss.user
                row.save()
            if number in (0, 15, 30):  # runs, of few and of many objects, shorter and longer than what is read at once
                for row in others[: 4 if number == 15 else 7] * (1 if number == 0 else 6):
                    clock.shift(timedelta(milliseconds=1))
                    row._history_user, row._change_reason = boss.user, "API key CRM"
                    row.save()
    wanted = Wanted(kinds(), EVERYBODY)
    everything = [key.place for key in newest_places(wanted, None, 2000)]
    assert len(everything) > 150
    assert everything == sorted(everything, reverse=True)
    assert [unit.run.objects for unit in units(wanted, None, 1000, older=True) if unit.run] == [7, 7]

    def of(unit):
        newest, oldest = (everything.index(place) for place in (unit.newest, unit.oldest))
        return everything[newest : oldest + 1]

    for size in (1, 6):
        pages = [changes_page(wanted, None, None, size)]
        while pages[-1].has_next:
            pages.append(changes_page(wanted, pages[-1].rows[-1].oldest, None, size))
        assert [place for found in pages for unit in found.rows for place in of(unit)] == everything
        for before, found in pairwise(pages):
            assert changes_page(wanted, None, found.rows[0].newest, size).rows == before.rows
    first = page(boss)
    assert first.context["before"] is None
    second = page(boss, f"?after={first.context['after']}")
    assert page(boss, f"?before={second.context['before']}").context["changes"] == first.context["changes"]
    monkeypatch.undo()
    with CaptureQueriesContext(connection) as found:
        page(boss)
    assert len(found) <= CHANGES_STATEMENTS, len(found)


def test_what_was_done_to_many_at_once_is_one_line_that_leads_to_each(boss):
    """Others' changes stay in sight, on home too."""
    other = User.objects.create_user("ben", is_staff=True)
    with time_machine.travel(NOW - timedelta(days=3), tick=True):
        many = [make_customer(boss.customer.tier, f"+1555{number:07}", name=f"C{number}") for number in range(70)]
    with time_machine.travel(NOW - timedelta(minutes=5), tick=True):
        boss.customer._history_user = other
        boss.customer.name = "Ada B"
        boss.customer.save()
        for customer in many:
            customer.status = "blocked"
        bulk_update_with_history(many, Customer, ["status"], default_user=boss.user, default_change_reason="Together.")
        for customer, tier in zip(many[:4], [make_tier("gold")] * 4, strict=True):
            customer.tier, customer._history_user, customer._change_reason = tier, boss.user, "Four."
            customer.save()

    shown = page(boss)
    lines = [line for line in shown.context["changes"] if not isinstance(line, Many)]
    assert [line.name for line in lines][:5] == ["C3", "C2", "C1", "C0", "Ada B"]
    (run,) = [line for line in shown.context["changes"] if isinstance(line, Many)]
    assert "70 customers Each of these changes" in text_of(shown)
    assert "such as: Customer C69 changed Status: Active → Blocked" in text_of(shown)
    home = report_page(boss, "/admin/", NOW)
    assert "70 customers" in text_of(home)
    assert "Ada B" in text_of(home)
    address = re.search(r'href="([^"]*run=[^"]*)"', home.content.decode()).group(1)
    each = report_page(boss, html.unescape(address), NOW)
    assert [line.name for line in each.context["changes"]] == [f"C{number}" for number in range(69, -1, -1)]
    assert "Some filters cannot be used" in text_of(page(boss, f"?run={run.run.newest}&kind=customers.tier"))


@pytest.mark.parametrize("by", ["", KEYS])
def test_what_frontdesk_made_by_itself_is_not_passed_over_one_by_one(boss, by):
    records = Customer.history.model
    made = {"history_date": NOW, "history_type": "+", "tier_id": boss.customer.tier_id, "created_at": NOW}
    records.objects.bulk_create(records(id=10_000 + number, **made) for number in range(2000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as found:
            newest_places(Wanted(kinds(), by, since=NOW - timedelta(days=1)), None, 60)
        plan = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{plan} {found[0]['sql']}")
        assert "customer_by_somebody" in str(cursor.fetchall())


def test_what_livetok_may_name_a_channel_has_a_history_like_any_other(boss, livetok):
    with time_machine.travel(NOW, tick=False):
        for name in ("a\nb", "live_40"):
            livetok.begin(kind=name, phoneNumber="+15550009999")
    for change in page(boss, "?person=everybody&kind=customers.channel").context["changes"]:
        assert boss.get(change.address).status_code == 200, change.address


def test_what_is_gone_is_still_told(boss):
    with time_machine.travel(NOW - timedelta(hours=3), tick=False):
        override, tier = make_override(boss.customer, limit("call_minutes", 90)), make_tier("old")
    with time_machine.travel(NOW, tick=False):
        for row in (override, tier):
            row._history_user = boss.user
            row.delete()

    found = {what: rows for _, what, rows in told(boss)}
    assert found["Tier Old (deleted)"][0][0] == "removed"
    assert found["Customer Ada"][0][:2] == ("removed", "90 call minutes a day")


@pytest.mark.django_db(transaction=True)
def test_what_one_save_did_is_one_line_and_nothing_that_was_saved_vanishes(db):
    """Of the transaction, which a test has none of around it here."""
    boss = staff("administrators", "boss")
    with time_machine.travel(NOW - timedelta(hours=1), tick=True):
        free, premium = make_tier("free"), make_tier("premium", limit("call_minutes", 60))
        customer = make_customer(free, name="Ada")
    path = f"/admin/customers/customer/{customer.pk}/change/"
    with time_machine.travel(NOW, tick=True):
        for tier in (premium, free):  # there and back, at once
            assert boss.post(path, form_of(boss, path) | {"tier": str(tier.pk)}).status_code == 302
        row = {"metric": "call_minutes", "period": "day", "amount": "90", "hard": "on"}
        form = form_of(boss, path) | {"numbers-0-number": "+15550001111", "name": "Ada B"}
        assert boss.post(path, with_row(form, "overrides", **row)).status_code == 302

    def tiers_and_rows(entries):
        return [
            sorted((row.kind, row.fields[0].before, row.fields[0].after) for row in entry.rows) for entry in entries
        ]

    changes = [change.entry for change in page(boss).context["changes"]][:3]
    own = boss.get(f"/admin/customers/customer/{customer.pk}/history/").context["page"].object_list[:3]
    assert tiers_and_rows(changes) == tiers_and_rows(own)
    assert [rows[0] for rows in tiers_and_rows(own)] == [
        ("customer", "Ada", "Ada B"),
        ("customer", "Premium", "Free"),
        ("customer", "Free", "Premium"),
    ]
    assert [row[0] for row in tiers_and_rows(own)[0]] == ["customer", "limit override", "phone number", "phone number"]
