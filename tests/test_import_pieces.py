"""An import is checked whole and stored in pieces: what is told where it breaks off, and who may write in between."""

import itertools
import threading
from contextlib import contextmanager

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection

from customers.models import Customer, PhoneNumber
from customers.turns import FIRST_ROWS
from sessions_app.database.prepared import djangos_transaction
from sessions_app.models import Session
from tests.builders import make_customer, make_tier
from tests.staff import staff
from tests.staff import text_of as page_text
from tests.test_admin_import import confirm, imported, upload

ROWS = 70  # several pieces
TURN = "tests.test_import_pieces.turn_with_something_before"

before_each_piece = []


@contextmanager
def turn_with_something_before():
    """The real turn; before the first, second … piece comes what the test has put there."""
    if before_each_piece and (work := before_each_piece.pop(0)) is not None:
        work()
    with djangos_transaction():
        yield


@pytest.fixture
def ana(db):
    make_tier("premium")
    return staff("managers")


@pytest.fixture
def before_pieces(settings):
    settings.WRITE_TURN = TURN
    before_each_piece.clear()
    yield before_each_piece
    before_each_piece.clear()


def file_of(rows=ROWS, name="Ada"):
    lines = "\n".join(f"crm-{n},{name} {n},premium,+1555000{n:04}" for n in range(rows))
    return f"external_id,name,tier,numbers\n{lines}\n"


REFUSE = {
    "sqlite": [
        """CREATE TRIGGER refuse BEFORE INSERT ON customers_customer WHEN NEW.external_id = 'crm-45'
        BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"""
    ],
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$",
        """CREATE TRIGGER refuse BEFORE INSERT ON customers_customer FOR EACH ROW WHEN (NEW.external_id = 'crm-45')
        EXECUTE FUNCTION refuse()""",
    ],
}
ALLOW = {"sqlite": "DROP TRIGGER refuse", "postgresql": "DROP TRIGGER refuse ON customers_customer"}


def test_where_storing_breaks_off_the_page_says_what_is_stored_and_the_file_can_come_again(ana):
    with connection.cursor() as cursor:
        for statement in REFUSE[connection.vendor]:
            cursor.execute(statement)

    text = page_text(imported(ana, file_of()))

    stored = Customer.objects.count()
    assert FIRST_ROWS <= stored <= 45
    assert f"The import broke off: the rows before row {stored + 2} are stored" in text
    assert "The database did not take this row" in text
    assert "disk is full" not in text
    assert Customer.objects.filter(external_id__in=[f"crm-{n}" for n in range(stored)]).count() == stored
    assert PhoneNumber.objects.count() == LogEntry.objects.count() == stored

    with connection.cursor() as cursor:
        cursor.execute(ALLOW[connection.vendor])
    preview = upload(ana, file_of())

    assert f"{ROWS - stored} new, 0 changed, {stored} unchanged." in page_text(preview)
    confirm(ana, preview)
    assert Customer.objects.count() == PhoneNumber.objects.count() == ROWS
    assert Customer.history.count() == LogEntry.objects.count() == ROWS, "one line for each customer"


def test_what_somebody_changes_meanwhile_breaks_it_off_with_words(ana, before_pieces):
    def take_a_number():
        make_customer(make_tier("basic"), "+15550000020", external_id="crm-x", name="Quick")

    before_pieces += [None, take_a_number]

    text = page_text(imported(ana, file_of()))

    assert f"The import broke off: the rows before row {FIRST_ROWS + 2} are stored" in text
    assert "22 numbers +15550000020 belongs to customer Quick (external id crm-x). Remove it there first." in text
    assert Customer.objects.filter(external_id__startswith="crm-").count() == FIRST_ROWS + 1


def test_a_customer_who_is_changed_while_the_rows_before_are_stored_breaks_it_off(ana, before_pieces):
    customer = make_customer(make_tier("basic"), external_id="crm-22", name="Ada")
    before_pieces += [None, lambda: Customer.objects.filter(pk=customer.pk).update(name="Ada Lovelace")]

    text = page_text(imported(ana, file_of()))

    assert f"The import broke off: the rows before row {FIRST_ROWS + 2} are stored" in text
    assert "24 – Somebody changed this customer after the preview." in text
    assert Customer.objects.get(pk=customer.pk).name == "Ada Lovelace"


@pytest.mark.only("postgresql")
def test_a_connection_that_is_cut_meanwhile_is_told_like_any_other_fault(transactional_db, before_pieces):
    make_tier("premium")
    ana = staff("managers")
    cut = connection.connection.info.backend_pid

    def cut_the_connection():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [cut])
        connection.close()

    def cut_by_somebody_else():
        other = threading.Thread(target=cut_the_connection)
        other.start()
        other.join()

    before_pieces += [None, cut_by_somebody_else]

    text = page_text(imported(ana, file_of()))

    assert f"The import broke off: the rows before row {FIRST_ROWS + 2} are stored" in text
    assert Customer.objects.count() == FIRST_ROWS


def test_what_the_file_does_not_say_stays_as_somebody_left_it_meanwhile(ana, before_pieces):
    customer = make_customer(make_tier("basic"), external_id="crm-0", name="Ada")
    before_pieces.append(lambda: Customer.objects.filter(pk=customer.pk).update(status="blocked", notes="Fraud."))

    imported(ana, "external_id,name\ncrm-0,Ada L\n")

    customer.refresh_from_db()
    assert (customer.name, customer.status, customer.notes) == ("Ada L", "blocked", "Fraud.")
    assert customer.history.first().status == "blocked"


def test_nothing_is_stored_where_a_late_row_is_wrong(ana):
    file = file_of()
    preview = upload(ana, file)
    make_customer(make_tier("basic"), f"+1555000{ROWS - 1:04}", external_id="crm-x", name="Quick")

    text = page_text(confirm(ana, preview))

    assert "Nothing was imported." in text
    assert f"{ROWS + 1} numbers +15550000069 belongs to customer Quick" in text
    assert Customer.objects.count() == 1


def test_changed_rows_write_one_line_of_history_and_only_what_changed(ana):
    imported(ana, file_of())
    kept = PhoneNumber.objects.get(key="+15550000003")

    imported(
        ana, file_of(name="Grace").replace("+15550000005", "+15550009999").replace("+15550000003", "+1 555 0000003")
    )

    assert Customer.objects.filter(name__startswith="Grace").count() == ROWS
    assert Customer.history.count() == 2 * ROWS
    assert Customer.history.filter(history_type="~", history_change_reason="import of crm.csv").count() == ROWS
    assert set(Customer.history.values_list("history_user", flat=True)) == {ana.user.pk}
    kept.refresh_from_db()
    assert (kept.number, kept.key) == ("+1 555 0000003", "+15550000003")
    assert list(Customer.objects.get(external_id="crm-5").numbers.values_list("key", flat=True)) == ["+15550009999"]
    lines = PhoneNumber.history.exclude(history_type="+").order_by("pk")
    assert sorted(lines.values_list("history_type", "number")) == [("-", "+15550000005"), ("~", "+1 555 0000003")]


def test_a_number_may_go_from_one_row_to_a_later_one(ana):
    imported(ana, file_of())
    lines = file_of().splitlines()
    lines[1] = "crm-0,Ada 0,premium,"
    lines[-1] = f"crm-{ROWS - 1},Ada,premium,+15550000000"

    imported(ana, "\n".join(lines))

    assert PhoneNumber.objects.get(key="+15550000000").customer.external_id == f"crm-{ROWS - 1}"


def first_contact_with_two_numbers(livetok):
    livetok.begin(phoneNumber="+15550001111")
    found = Customer.objects.get()
    PhoneNumber.objects.create(customer=found, number="+15550002222", key="+15550002222")
    return found


TWO_ROWS = "external_id,tier,numbers\ncrm-1,premium,+15550001111\ncrm-2,premium,+15550002222\n"


def test_a_first_contact_becomes_the_customer_of_one_row(ana, livetok):
    found = first_contact_with_two_numbers(livetok)

    imported(ana, TWO_ROWS)

    first, second = Customer.objects.order_by("external_id")
    assert (first.pk, first.numbers.get().key) == (found.pk, "+15550001111")
    assert (second.source, second.numbers.get().key) == ("import", "+15550002222")


def test_two_rows_cannot_share_a_first_contact(ana, livetok):
    first_contact_with_two_numbers(livetok)
    make_customer(make_tier("basic"), external_id="crm-1")

    text = page_text(upload(ana, TWO_ROWS))

    assert "3 numbers +15550002222 belongs to the first contact who becomes the customer of row 2." in text


def test_a_first_contact_gives_way_to_the_customer_of_its_row(ana, livetok):
    livetok.begin(phoneNumber="+15550001111")
    customer = make_customer(make_tier("basic"), external_id="crm-1")

    imported(ana, "external_id,name,numbers\ncrm-1,Ada L,+15550001111;+15550003333\n")

    assert Customer.objects.get().name == "Ada L"
    assert sorted(customer.numbers.values_list("key", flat=True)) == ["+15550001111", "+15550003333"]
    assert Session.objects.get().customer == customer


def test_others_write_between_the_pieces(transactional_db):
    """On SQLite one writes at a time: a begin that waits gets its turn before the import is through."""
    make_tier("premium")
    ana = staff("managers")
    preview = upload(ana, file_of(400))
    seen = set()
    numbers = itertools.count()
    is_over = threading.Event()

    def write_again_and_again():
        while not is_over.wait(0.001):
            with djangos_transaction():
                seen.add(Customer.objects.count())
                make_tier(f"tier-{next(numbers)}")
        connection.close()

    other = threading.Thread(target=write_again_and_again)
    other.start()
    try:
        confirm(ana, preview)
    finally:
        is_over.set()
        other.join()

    assert Customer.objects.count() == 400
    assert len(seen - {0, 400}) >= 3
