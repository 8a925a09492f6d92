"""What an export gives imports as unchanged: straight away, and after LibreOffice has opened and saved it."""

from pathlib import Path

import pytest
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from customers.editing import number_key
from customers.importing.formats import CustomerCsv, CustomerXlsx
from customers.importing.resource import CustomerResource
from customers.models import Customer, PhoneNumber
from tests.builders import make_tier
from tests.office import saved_again
from tests.staff import staff
from tests.staff import text_of as page_text
from tests.test_admin_import import EXPORT, confirm, upload

SAVED = Path(__file__).parent / "files" / "saved_by_libreoffice.xlsx"

# What has hurt: formulae, marks that are part of the text, spaces, what XML cannot hold, escapes, other scripts.
NAMES = [
    "Ada", "=1+1", "'=1+1", "''@x", "\t=1", "＝1", "\ufeff+1", " leading", "trailing ", "two\nlines", "a\rb", "a\vb",
    "\ufffe", "_x0041_", "_x005F_", "\U0001f600", 'say "x"', "a,b;c\td", "'", '="quoted"', "-5", "Zoë, née X",
    "4.9E+12", "nan", "#N/A", "00123", "1001.0", "TRUE", "2024-01-01", "1/2",
]  # fmt: skip
NUMBERS = [
    "+44 20 7946 0958", "4915112345678", "+4915112345;ext=5", "sip:ada@example.com", "a,b", "x / y", '"q"', '"',
    "'4916112", "1234567.0", "=sum", "-hello", "nan", "4.9E+12", "#1", "two\nlines", "hello…", "+1 (555) 010.0123",
    "00123\v45678",
]  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


def export_and_read(file_format):
    data = CustomerResource().export(Customer.objects.order_by("pk"))
    return file_format().create_dataset(file_format().export_data(data))


def make(tier, external_id, name, numbers):
    customer = Customer.objects.create(tier=tier, external_id=external_id, name=name[:200])
    for number in numbers:
        try:
            key = number_key(number)
        except Exception:  # noqa: BLE001 - no number, which nobody could have given
            continue
        if not PhoneNumber.objects.filter(key=key).exists():
            PhoneNumber.objects.create(customer=customer, number=number, key=key)


def changes(rows):
    result = CustomerResource().import_data(rows, dry_run=True, file_name="x")
    assert result.problems == []
    return [[str(cell) for cell in row.cells] for row in result.changed_rows]


@pytest.mark.parametrize("file_format", [CustomerCsv, CustomerXlsx])
def test_what_has_hurt_comes_back_as_it_was(db, file_format):
    tier = make_tier()
    for place, name in enumerate(NAMES):
        make(tier, f"crm-{place}", name, [])
    make(tier, "=crm", "", NUMBERS)

    rows = export_and_read(file_format)

    assert len(rows) == len(NAMES) + 1
    assert changes(rows) == []


def first_contact(tier, *numbers, **fields):
    """As made at a first contact: without an external id."""
    make(tier, None, fields.pop("name", ""), numbers)
    customer = Customer.objects.latest("pk")
    Customer.objects.filter(pk=customer.pk).update(source="first_contact", **fields)
    return customer


@pytest.mark.parametrize("name, place", [("customers.csv", "0"), ("customers.xlsx", "1")])
def test_an_export_with_first_contacts_comes_back_as_it_was(db, livetok, name, place):
    ana = staff("managers")
    for number in ("+1 555 000-1111", "whatsapp:+15550002222", "=sip", "Front\ufe0f door", "a\ufffeb"):
        livetok.begin(phoneNumber=number, sessionId=number)
    make(make_tier(), "crm-1", "Ada", NUMBERS)
    make(make_tier("basic"), None, "of staff", ["+15550003333", "+15550004444"])
    written = Customer.history.count(), PhoneNumber.history.count()

    preview = upload(ana, ana.post(EXPORT, {"format": place, "resource": ""}).content, name)

    assert "0 new, 0 changed, 7 unchanged." in page_text(preview)
    confirm(ana, preview)
    assert (Customer.history.count(), PhoneNumber.history.count()) == written
    assert Customer.objects.filter(external_id=None).count() == 6


def test_what_staff_changed_of_a_first_contact_in_an_export_is_stored(db, livetok):
    ana = staff("managers")
    livetok.begin(phoneNumber="+15550001111")
    found = Customer.objects.get()
    PhoneNumber.objects.create(customer=found, number="+15550002222", key="+15550002222")
    header, row = ana.post(EXPORT, {"format": "0", "resource": ""}).content.decode("utf-8-sig").split()[:2]
    assert row == ",,,standard,active,,+15550001111;"

    preview = upload(ana, f"{header}\n,Ada,,standard,paused,,+1 555 000 1111\n")

    assert "0 new, 1 changed, 0 unchanged." in page_text(preview)
    confirm(ana, preview)
    found.refresh_from_db()
    assert (found.name, found.status, found.external_id, found.is_provisional()) == ("Ada", "paused", None, True)
    assert [(number.number, number.key) for number in found.numbers.all()] == [("+1 555 000 1111", "+15550001111")]


@pytest.mark.parametrize("numbers", ["", "+15550009999", "+15550001111;+15550009999", "+15550001111;+15550003333"])
def test_any_other_row_without_an_id_is_refused(db, numbers):
    ana = staff("managers")
    tier = make_tier()
    first_contact(tier, "+15550001111")
    make(tier, "crm-1", "Ada", ["+15550003333"])

    text = page_text(upload(ana, f"external_id,tier,numbers\n,premium,{numbers}\n,premium,+15550003333\n"))

    assert "2 external_id Give the customer's id" in text
    assert "3 external_id Give the customer's id" in text, "the customer has an id"


def test_two_rows_without_an_id_cannot_share_a_customer(db):
    ana = staff("managers")
    first_contact(make_tier(), "+15550001111", "+15550002222")

    text = page_text(upload(ana, "external_id,numbers\n,+15550001111;+15550002222\n,+15550002222\n"))
    assert "3 numbers +15550002222 is in row 2 too. Leave one of them." in text

    text = page_text(upload(ana, "external_id,numbers\n,+15550001111\n,+15550002222\n"))
    assert "3 external_id Give the customer's id" in text, "row 2 takes the number off"


def test_a_row_with_an_id_and_one_without_cannot_share_a_first_contact(db):
    ana = staff("managers")
    tier = make_tier()
    first_contact(tier, "+15550001111", "+15550002222")
    make(tier, "crm-1", "Ada", [])

    text = page_text(upload(ana, "external_id,numbers\n,+15550001111;+15550002222\ncrm-1,+15550002222\n"))
    assert "3 numbers +15550002222 is in row 2 too." in text

    text = page_text(upload(ana, "external_id,numbers\ncrm-1,+15550001111\n,+15550002222\n"))
    assert "3 numbers +15550002222 belongs to the first contact who becomes the customer of row 2." in text


class AnyCustomer(TestCase):
    @settings(max_examples=25)
    @given(name=TEXTS, numbers=st.lists(TEXTS | st.sampled_from(NUMBERS), max_size=4))
    def test_comes_back_as_it_was_from_either_format(self, name, numbers):
        tier = make_tier()
        make(tier, "crm-1", name, numbers)
        first_contact(tier, "+15550001111", *numbers, name=name)
        for file_format in (CustomerCsv, CustomerXlsx):
            assert changes(export_and_read(file_format)) == []


def customers_of_the_saved_file() -> Client:
    ana = staff("managers")
    tier = make_tier("premium")
    for place, name in enumerate(NAMES):
        make(tier, f"crm-{place}", name, [])
    make(tier, "0012", "Numbers", NUMBERS)
    return ana


UNCHANGED = f"0 new, 0 changed, {len(NAMES) + 1} unchanged."


@pytest.mark.office
@pytest.mark.parametrize("name, place", [("customers.xlsx", "1"), ("customers.csv", "0")])
@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_an_export_that_libreoffice_has_saved_imports_as_unchanged(db, tmp_path, name, place, kind):
    ana = customers_of_the_saved_file()
    file = tmp_path / name
    file.write_bytes(ana.post(EXPORT, {"format": place, "resource": ""}).content)

    page = upload(ana, saved_again(file, kind, tmp_path), f"customers.{kind}")

    assert UNCHANGED in page_text(page)


def test_a_workbook_that_libreoffice_once_saved_imports_as_unchanged(db):
    """The same file, kept, so that reading it is tested where no LibreOffice is."""
    assert UNCHANGED in page_text(upload(customers_of_the_saved_file(), SAVED.read_bytes(), "customers.xlsx"))
