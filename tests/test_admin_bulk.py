"""One edit of many customers, from their list: the count first, a line of history for each, nothing half done."""

import random
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from customers import bulk_edits
from customers.admin.chosen import packed, unpacked
from customers.models import Customer, Erasure, LimitOverride, Tier
from tests.builders import limit, make_channel, make_customer, make_override, make_tier
from tests.staff import staff, text_of

LIST = "/admin/customers/customer/"
UNTIL = timezone.now() + timedelta(days=3)
OVERRIDE = {
    "edit-metric": "call_minutes",
    "edit-period": "day",
    "edit-amount": "90",
    "edit-hard": "on",
    "edit-note": "Strike",
    "edit-valid_until_0": f"{UNTIL:%Y-%m-%d}",
    "edit-valid_until_1": "18:00",
}


@pytest.fixture
def ana(db):
    return staff("managers")


@pytest.fixture
def three(ana) -> list[Customer]:
    tier = make_tier("basic", limit("call_minutes", 60))
    return [make_customer(tier, f"+1555000{number:04}", name=f"Caller {number}") for number in range(3)]


def send(client, action, chosen, path=LIST, **fields):
    selected = [customer.pk for customer in chosen]
    return client.post(path, {"action": action, "_selected_action": selected, **fields})


def hidden_in(page) -> dict[str, str]:
    """What the page's form sends beside what is typed into it."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.content.decode())
    return {name: value for name, value in found if not name.startswith("csrf")}


def confirm(client, action, chosen, path=LIST, **fields):
    """As a browser does: the preview, then its button."""
    planned = send(client, action, chosen, path, preview="1", **fields)
    return client.post(path, hidden_in(planned) | fields | {"apply": "1"})


@pytest.mark.pure
def test_keys_come_back_from_one_short_field_and_nothing_else_is_taken_for_some():
    for keys, most in (
        ([], 20),
        ([7], 30),
        (range(1, 100_001), 500),
        (random.Random(1).sample(range(10**6), 10**5), 1.2e5),
    ):
        assert unpacked(packed(keys)) == sorted(keys)
        assert len(packed(keys)) <= most
    for wrong in ("", "x", "é", packed([3])[:-6], packed([3, 3]), packed([0]), packed([2**63]), packed([1, 2, 3])[:8]):
        assert unpacked(wrong) is None


def test_the_tier_of_many_is_changed_after_a_count_with_a_line_of_history_each(ana, three):
    gold = make_tier("gold")
    Customer.objects.filter(pk=three[0].pk).update(tier=gold)

    asked = send(ana, "change_tier", three)
    planned = send(ana, "change_tier", three, preview="1", **{"edit-tier": gold.pk})

    assert "Change the tier of 3 customers" in text_of(asked)
    assert "2 of 3 customers would change, from the next call of each. 1 is on it already" in text_of(planned)
    assert not LogEntry.objects.exists()

    # What no page has counted is counted first.
    assert "2 of 3" in text_of(send(ana, "change_tier", three, apply="1", **{"edit-tier": gold.pk}))
    assert not LogEntry.objects.exists()

    done = confirm(ana, "change_tier", three, **{"edit-tier": gold.pk})

    assert done.status_code == 302
    assert "Tier: Gold. 2 customers changed. 1 is on it already." in text_of(ana.get(LIST))
    assert set(Customer.objects.values_list("tier__slug", flat=True)) == {"gold"}
    assert [customer.history.count() for customer in three] == [1, 2, 2]
    assert three[1].history.first().history_user == ana.user
    assert LogEntry.objects.count() == 2


def test_bad_input_is_said_at_its_field_and_changes_nothing(ana, three):
    old = make_tier("old", is_active=False)

    for action, wrong, said in (
        ("change_tier", {"edit-tier": ""}, "This field is required."),
        ("change_tier", {"edit-tier": old.pk}, "not one of the available choices"),
        ("give_override", OVERRIDE | {"edit-period": ""}, "Period: "),
        ("give_override", OVERRIDE | {"edit-amount": "-1"}, "greater than or equal to 0"),
        ("give_override", OVERRIDE | {"edit-valid_until_0": "2020-01-01"}, "still to come"),
    ):
        for button in ("preview", "apply"):
            assert said in text_of(send(ana, action, three, **{button: "1"}, **wrong))
    assert not LimitOverride.objects.exists()
    assert set(Customer.objects.values_list("tier__slug", flat=True)) == {"basic"}


def test_many_get_an_override_but_those_who_have_one_of_its_kind(ana, three, livetok):
    make_override(three[0], limit("call_minutes", 500))
    make_override(three[1], limit("call_minutes", 70), valid_until=timezone.now() - timedelta(days=1))

    planned = send(ana, "give_override", three, preview="1", **OVERRIDE)
    confirm(ana, "give_override", three, **OVERRIDE)

    assert f"Override: 90 call minutes a day, until {UNTIL:%a} {UNTIL.day} {UNTIL:%b %Y}, 18:00." in text_of(planned)
    assert "2 of 3 customers would change" in text_of(planned)
    assert "1 has an override of this kind in that time already" in text_of(planned)
    given = LimitOverride.objects.filter(amount=90).order_by("customer")
    assert [(row.customer_id, row.author, row.note) for row in given] == [
        (customer.pk, ana.user, "Strike") for customer in three[1:]
    ]
    assert [row.history.count() for row in given] == [1, 1]
    assert (
        livetok.begin(phoneNumber="+15550000002", timestamp=timezone.now().isoformat())["limits"]["dailyCallMinutes"]
        == 90
    )
    again = send(ana, "give_override", three, preview="1", **OVERRIDE)
    assert "0 of 3 customers would change" in text_of(again)


@pytest.mark.parametrize(
    ("action", "fields", "lines", "then", "outcome"),
    [
        (
            "activate",
            {},
            "1 of 3 customers would change: 1 is active already. 1 is blocked, and stays so.",
            ["active", "active", "blocked"],
            "Status: Active. 1 customer changed. 2 are active already or are blocked, and stay so.",
        ),
        (
            "activate",
            {"edit-blocked_too": "on"},
            "2 of 3 customers would change: 1 is active already. 1 is blocked now.",
            ["active", "active", "active"],
            "Status: Active. 2 customers changed. 1 is active already.",
        ),
        (
            "pause",
            {},
            "1 of 3 customers would change: 1 is paused already. 1 is blocked, and stays so.",
            ["paused", "paused", "blocked"],
            "Status: Paused. 1 customer changed. 2 are paused already or are blocked, and stay so.",
        ),
        (
            "block",
            {},
            "2 of 3 customers would change: 1 is blocked already.",
            ["blocked", "blocked", "blocked"],
            "Status: Blocked. 2 customers changed. 1 is blocked already.",
        ),
    ],
)
def test_a_status_is_set_after_a_count_and_who_is_blocked_is_let_in_only_on_purpose(
    ana, three, action, fields, lines, then, outcome
):
    before = ["active", "paused", "blocked"]
    for customer, status in zip(three, before, strict=True):
        Customer.objects.filter(pk=customer.pk).update(status=status)

    # Neither the action nor its button changes anybody who was not counted.
    send(ana, action, three)
    planned = send(ana, action, three, apply="1", **fields)
    assert lines in text_of(planned).replace(", from the next call of each.", ":")
    assert list(Customer.objects.order_by("pk").values_list("status", flat=True)) == before
    assert ana.post(LIST, hidden_in(planned) | {"apply": "1"}).status_code == 302

    assert list(Customer.objects.order_by("pk").values_list("status", flat=True)) == then
    assert outcome in text_of(ana.get(LIST))
    changed = [customer for customer, old, new in zip(three, before, then, strict=True) if old != new]
    assert [customer.history.count() for customer in changed] == [2] * len(changed)
    assert {customer.history.first().history_user for customer in changed} == {ana.user}


def test_an_override_for_many_leaves_out_who_would_get_less_than_now(ana):
    """Whoever has more, or no limit at all, where the override applies; a row for elsewhere takes nothing away."""
    make_channel("telephony")
    tiers = {
        "more": [limit("call_minutes", 120)],
        "none": [limit("call_minutes", 9, "month")],
        "soft": [limit("call_minutes", 60, hard=False)],
        "other": [limit("call_minutes", 60), limit("call_minutes", 120, channel_id="telephony")],
        "same": [limit("call_minutes", 90)],
    }
    customers = {name: make_customer(make_tier(name, *rows), f"name:{name}", name=name) for name, rows in tiers.items()}
    lifted = make_customer(Tier.objects.get(slug="same"), "name:lifted", name="lifted")
    make_override(lifted, limit("call_minutes", 500, channel_id="telephony"))
    chosen = [*customers.values(), lifted]

    planned = send(ana, "give_override", chosen, preview="1", **OVERRIDE)
    text = text_of(planned)
    assert "3 of 6 customers would change" in text
    assert "3 would get less than now, and are left out." in text
    on_telephony = OVERRIDE | {"edit-channel": "telephony"}
    # There a day's 60 for all channels bind anyway.
    assert "2 of 6 customers would change" in text_of(send(ana, "give_override", chosen, preview="1", **on_telephony))

    ana.post(LIST, hidden_in(planned) | {"apply": "1"})
    given = LimitOverride.objects.filter(amount=90)
    assert {row.customer.name for row in given} == {"other", "same", "lifted"}
    assert "3 customers changed. 3 have an override" in text_of(ana.get(LIST))

    all_of_them = send(ana, "give_override", chosen, preview="1", **OVERRIDE, **{"edit-less_too": "on"})
    assert "3 of 6 customers would change" in text_of(all_of_them)
    assert "3 get less than now." in text_of(all_of_them)
    ana.post(LIST, hidden_in(all_of_them) | {"apply": "1"})
    assert given.all().count() == 6


def test_whoever_was_counted_is_changed_in_pieces_and_a_failure_says_how_far_it_came(ana, three, monkeypatch):
    gold, silver = make_tier("gold"), make_tier("silver")
    mover = make_customer(silver, "+15550008888")
    others = Customer.objects.bulk_create(Customer(name=f"C{n}", tier=three[0].tier) for n in range(45))
    tried = []

    def failing(name, value):
        write = bulk_edits.set_field(name, value)

        def once(customers, user):
            tried.append(customers)
            if len(tried) == 2:
                raise bulk_edits.DatabaseError("gone")
            return write(customers, user)

        return once

    monkeypatch.setattr("customers.admin.bulk.set_field", failing)
    basic = f"{LIST}?tier__id__exact={three[0].tier_id}"
    page = confirm(ana, "change_tier", three[:1], basic, select_across="1", **{"edit-tier": gold.pk})

    assert "Change the tier of 48 customers" in text_of(page)
    assert "20 customers were changed so far. 28 are still to be looked at." in text_of(page)
    assert Customer.objects.filter(tier=gold).count() == 20
    # These match the list's filter by now, and nobody has counted them.
    newcomer = make_customer(three[0].tier, "+15550009999")
    Customer.objects.filter(pk=mover.pk).update(tier=three[0].tier)
    # And these were counted.
    Customer.objects.filter(pk=others[-1].pk).update(tier=gold)
    others[-2].delete()
    assert ana.post(basic, hidden_in(page) | {"apply": "1"}).status_code == 302

    outcome = "46 customers changed. 1 is on it already. 1 was deleted, erased or merged meanwhile."
    assert f"Tier: Gold. {outcome}" in text_of(ana.get(LIST))
    assert set(Customer.objects.exclude(tier=gold)) == {mover, newcomer}
    assert max(len(customers) for customers in tried) <= 28


def test_all_of_many_pages_are_paused_instead_of_deleted_by_forms_of_few_fields(ana, three, monkeypatch, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 20
    monkeypatch.setattr("customers.admin.pages.MOST_DELETED", 100)
    Customer.objects.bulk_create(Customer(name=f"C{n}", tier=three[0].tier) for n in range(120))

    kept = send(ana, "delete_selected", three[:1], f"{LIST}?status__exact=active", select_across="1")
    assert "Customers: at most 100 are deleted at once. Choose fewer of them. Pause or block" in text_of(kept)
    make_customer(three[0].tier, "+15550009999", name="C new")
    asked = ana.post(LIST, hidden_in(kept) | {"action": "pause"})
    assert "Pause 123 customers" in text_of(asked)
    assert not Customer.objects.filter(status="paused").exists()
    assert ana.post(LIST, hidden_in(asked) | {"apply": "1"}).status_code == 302

    assert "Status: Paused. 123 customers changed." in text_of(ana.get(LIST))
    assert Customer.objects.get(status="active").name == "C new"
    assert LogEntry.objects.count() == 123


def test_who_is_erased_is_not_counted(ana, three):
    Erasure.objects.create(customer=three[0], requested_at=timezone.now(), by="boss")

    assert "Pause 2 customers" in text_of(send(ana, "pause", three))


def test_whoever_only_looks_is_offered_no_edit(db, three):
    viewer = staff("viewers", "vera")

    assert "Change the tier of the selected" not in text_of(viewer.get(LIST))
    sent = {"action": "change_tier", "_selected_action": three[0].pk, "apply": "1", "edit-tier": make_tier("gold").pk}
    viewer.post(LIST, sent | {"chosen": packed(customer.pk for customer in three)})
    assert set(Customer.objects.values_list("tier__slug", flat=True)) == {"basic"}
