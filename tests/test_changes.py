"""Everything that was changed: by whom, when, what, before and after; for whom it is; page by page."""

from datetime import timedelta
from itertools import pairwise

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.changes.kinds import kinds
from config.changes.places import EVERYBODY, KEYS, Wanted
from config.changes.reading import newest_records, record_page
from customers.models import Customer
from tests.builders import limit, make_customer, make_override, make_tier, moment
from tests.staff import form_of, report_page, staff, text_of, with_row

NOW = moment("2026-03-14T10:40:00+00:00")
CHANGES_STATEMENTS = 18


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


def test_pages_follow_each_other_without_gap_and_cost_the_same(boss):
    with time_machine.travel(NOW - timedelta(hours=1), tick=False):
        for number in range(40):
            # Of one moment, so that the model and the row alone tell their places apart.
            phone = boss.customer.numbers.get()
            boss.customer.name, phone.number = f"Ada {number}", f"+1 555 {number:04}"
            for row in (boss.customer, phone):
                row._history_user = boss.user
                row.save()
    wanted = Wanted(kinds(), EVERYBODY)
    everything = [record.place for record in newest_records(wanted, 1000)]
    assert len(everything) > 80
    assert everything == sorted(everything, reverse=True)

    pages = [record_page(wanted, None, None, 7)]
    while pages[-1].has_next:
        pages.append(record_page(wanted, pages[-1].rows[-1].place, None, 7))
    assert [record.place for found in pages for record in found.rows] == everything
    for before, found in pairwise(pages):
        assert record_page(wanted, None, found.rows[0].place, 7).rows == before.rows
    first = page(boss)
    assert first.context["before"] is None
    second = page(boss, f"?after={first.context['after']}")
    assert page(boss, f"?before={second.context['before']}").context["changes"] == first.context["changes"]
    with CaptureQueriesContext(connection) as found:
        page(boss)
    assert len(found) <= CHANGES_STATEMENTS, len(found)


@pytest.mark.parametrize("by", ["", KEYS])
def test_what_frontdesk_made_by_itself_is_not_passed_over_one_by_one(boss, by):
    records = Customer.history.model
    made = {"history_date": NOW, "history_type": "+", "tier_id": boss.customer.tier_id, "created_at": NOW}
    records.objects.bulk_create(records(id=10_000 + number, **made) for number in range(2000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as found:
            newest_records(Wanted(kinds(), by, since=NOW - timedelta(days=1)), 60)
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
