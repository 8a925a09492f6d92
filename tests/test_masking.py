"""Numbers and e-mail addresses for whoever may not see them. That no page shows one, `test_roles` proves."""

import hashlib
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group, Permission

from customers.admin.stale import digest
from customers.masking import may_see_numbers, shown_email, shown_number, shown_text, shown_to
from customers.models import Customer, LimitOverride
from customers.search.keeping import keep_search_keys
from tests.builders import make_customer, make_tier
from tests.staff import form_of, staff, text_of

NUMBER, EMAIL = "+44 20 7946 0777", "ada.lovelace@analytical.example"


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        (NUMBER, "•••77"),
        ("+442079460777", "•••77"),
        ("(020) 7946-0777", "•••77"),
        # Two digits of few would tell too much, and other texts have none that mean little.
        ("110 12", "•••"),
        ("sip:ada1234567@example.com", "•••"),
        ("", ""),
    ],
)
def test_a_masked_number_keeps_its_last_two_digits(number, masked):
    with shown_to(AnonymousUser()):
        assert (shown_number(number), shown_email(number and EMAIL)) == (masked, "•••" if number else "")
    assert may_see_numbers()
    assert shown_number(number) == number


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"Call {NUMBER} or 0151/2345678, not +442079460777.", "Call ••• or •••, not •••."),
        (f'{{"mail": "{EMAIL}", "to": "sip:ada@example.com"}}', '{"mail": "•••", "to": "sip:•••"}'),
        ("From 2026-11-27 on, 2026-11-27T18:00:05+01:00, 18.5 of 60 minutes", None),
        ("550e8400-e29b-41d4-a716-446655440000, version 1.2.3, 1, 2, 3, 4, 5, 6, 7, 8", None),
        (
            "Tel.01701234567 tel600111444, 600111555x ref_447700900777, 0170_1234567",
            "Tel.••• tel•••, •••x ref_•••, •••",
        ),
        ("34.600.111.222, +34 600\u00a0111\u202f222, +34 600–111–333, +44-7700-900777-ext5", "•••, •••, •••, •••-ext5"),
        ("٠١٢٣٤٥٦٧٨٩ and +49 (0) 151 / 123 45 000", "••• and •••"),
    ],
)
def test_numbers_and_addresses_are_masked_wherever_a_text_has_them(text, masked):
    with shown_to(AnonymousUser()):
        assert shown_text(text) == (text if masked is None else masked)


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("0777", False),
        ("+44 20 7946", False),
        ("lovelace", False),
        ("ada.love", False),
        ("020 7946 0777", False),
        ("+44 (0)20 7946 0777", True),
        (EMAIL.upper(), True),
        ("Byron", True),
        ("crm-7", True),
    ],
)
def test_who_may_not_see_numbers_finds_nobody_by_a_part_of_one(livetok, text, is_found):
    named = {"name": "Augusta Byron", "email": EMAIL, "external_id": "crm-7"}
    keep_search_keys([make_customer(make_tier(), NUMBER, **named).pk])
    livetok.begin(sessionId="call-7", phoneNumber=NUMBER, timestamp=...)
    viewer, other = staff("viewers"), staff("viewers", "other", sees_numbers=True)

    for path in (
        "/reports/search/",
        "/reports/sessions/",
        "/admin/customers/customer/",
        "/admin/sessions_app/session/",
    ):
        asked = [text_of(client.get(path, {"q": text}, follow=True)) for client in (viewer, other)]
        found = ["Augusta Byron" in answer for answer in asked]
        # Written as at home, a number is one of no country here, and so a part.
        assert found == [is_found, True], (path, asked[0])


def test_who_may_not_see_numbers_saves_none_away(db):
    ada = make_customer(None, NUMBER, email=EMAIL, notes=f"Call {NUMBER}", context={"callback": NUMBER})
    manager = staff("managers")
    Group.objects.get(name="managers").permissions.remove(Permission.objects.get(codename="view_numbers"))
    path = f"/admin/customers/customer/{ada.pk}/change/"

    page = form_of(manager, path)
    sent = {**page, "name": "Ada King", "email": "•••", "notes": "•••", "numbers-0-number": "•••77"}
    assert manager.post(path, sent).status_code == 302

    saved = Customer.objects.get()
    assert (saved.name, saved.email, saved.notes) == ("Ada King", EMAIL, f"Call {NUMBER}")
    assert (saved.context, [one.number for one in saved.numbers.all()]) == ({"callback": NUMBER}, [NUMBER])
    assert not {"email", "notes", "context"} & set(page)
    assert "Call •••" in text_of(manager.get(path))
    assert manager.get("/admin/customers/customer/import/").status_code == 403
    file = manager.post("/admin/customers/customer/export/", {"format": "0"})
    assert file.content.decode("utf-8-sig").splitlines()[0] == "external_id,name,tier,status,time_zone"


def test_the_note_of_an_override_and_what_a_page_knows_of_its_state_tell_no_number(db):
    ada = make_customer(None, NUMBER, email=EMAIL)
    LimitOverride.objects.create(customer=ada, metric="sessions", period="day", amount=9, note=f"Agreed at {NUMBER}")
    viewer = staff("viewers")
    for path in (
        "/admin/customers/customer/{}/change/",
        "/admin/customers/customer/{}/history/",
        "/reports/customers/{}/",
    ):
        text = text_of(viewer.get(path.format(ada.pk)))
        assert ("Agreed at •••" in text, NUMBER in text) == (True, False), (path, text)
    page = viewer.get(f"/admin/customers/customer/{ada.pk}/change/").content.decode()
    assert digest("+442079460777") in page  # the field that shows whether somebody saved meanwhile
    assert hashlib.sha256(b'"+442079460777"').hexdigest()[:8] not in page


def test_an_upgrade_takes_numbers_from_nobody(db):
    """They were for all who may see customers or sessions."""
    permissions = {one.codename: one for one in Permission.objects.all()}
    for name, codename in (("desk", "view_session"), ("sales", "change_customer"), ("prices", "view_tier")):
        Group.objects.create(name=name).permissions.add(permissions[codename])

    import_module("customers.migrations.0011_who_sees_numbers").give_the_permission(apps, None)

    having = set(Group.objects.filter(permissions__codename="view_numbers").values_list("name", flat=True))
    assert having == {"desk", "sales", "viewers", "managers", "administrators"}
