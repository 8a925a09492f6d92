"""Import of customers from CSV and XLSX with a preview, and export of the same columns."""

import csv
import io

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.importing.cells import text_of
from customers.importing.resource import MOST_LISTED
from customers.importing.tables import MOST_ROWS
from customers.models import Customer, PhoneNumber
from customers.spreadsheets import cell_of
from sessions_app.models import Session
from tests.builders import make_customer, make_tier
from tests.staff import staff
from tests.staff import text_of as page_text

IMPORT = "/admin/customers/customer/import/"
CONFIRM = "/admin/customers/customer/process_import/"
EXPORT = "/admin/customers/customer/export/"
HEADER = "external_id,name,email,tier,status,time_zone,numbers"


@pytest.fixture
def ana(db):
    return staff("managers")


def upload(client, content, name="crm.csv"):
    """The page after a file was chosen: a preview, or what is wrong with the file."""
    content = content if isinstance(content, bytes) else content.encode()
    response = client.post(
        IMPORT, {"format": "1" if name.endswith("xlsx") else "0", "import_file": SimpleUploadedFile(name, content)}
    )
    assert response.status_code == 200
    return response


def confirm(client, preview):
    form = preview.context["confirm_form"]
    return client.post(CONFIRM, {name: form[name].value() for name in form.fields}, follow=True)


def imported(client, content, name="crm.csv"):
    return confirm(client, upload(client, content, name))


def xlsx(*rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_an_import_with_its_preview_works(ana):
    make_tier("premium")
    make_customer(make_tier("basic"), "+15550001111", external_id="crm-2", name="Grace")
    file = (
        f"{HEADER}\ncrm-1,Ada,ada@example.com,premium,,Europe/Madrid,+44 20 7946 0958; +1234567890\n"
        "crm-2,Grace H,,premium,paused,,+15550001111\n"
    )

    preview = upload(ana, file)

    assert "1 new, 1 changed, 0 unchanged." in page_text(preview)
    assert "<del>Grace</del> <ins>Grace H</ins>" in preview.content.decode()
    assert Customer.objects.count() == 1, "a preview writes nothing"

    text = page_text(confirm(ana, preview))

    assert "Import finished: 1 new, 1 changed, 0 unchanged." in text
    ada, grace = Customer.objects.get(external_id="crm-1"), Customer.objects.get(external_id="crm-2")
    assert (ada.source, ada.status, ada.tier.slug, ada.time_zone) == ("import", "active", "premium", "Europe/Madrid")
    assert sorted(ada.numbers.values_list("key", flat=True)) == ["+1234567890", "+442079460958"]
    assert (grace.name, grace.status, grace.source) == ("Grace H", "paused", "staff")
    assert grace.history.first().history_user == ana.user
    assert grace.history.first().history_change_reason == "import of crm.csv"
    assert ada.numbers.first().history.get().history_change_reason == "import of crm.csv"


def test_what_somebody_changes_after_the_preview_is_shown_again_instead_of_undone(ana):
    """Also a customer whose row changes nothing, and one who is gone; not what the file leaves as it is."""
    tier = make_tier("premium")
    for name in ("Ada", "bo", "cy", "di"):
        make_customer(tier, f"name:{name}", external_id=name, name=name)
    rows = ["Ada,Ada,,active", "bo,Bo,,active", "cy,Cy,premium,active", "di,Di,,active", "new,New,premium,"]
    preview = upload(ana, "\n".join(["external_id,name,tier,status", *rows]))
    Customer.objects.filter(name="Ada").update(status="paused")
    Customer.objects.filter(name="bo").update(notes="Called back.")
    Customer.objects.get(name="cy").delete()
    Customer.objects.filter(name="di").update(name="Di")  # as the file has it
    before = list(Customer.objects.order_by("pk").values())

    refused = confirm(ana, preview)

    text = page_text(refused)
    assert "Nothing was imported: of 2 rows, somebody changed the customer after the preview." in text
    assert [(row.number, row.is_new) for row in refused.context["result"].not_shown] == [(2, False), (4, True)]
    assert "<del>paused</del> <ins>active</ins>" in refused.content.decode()
    assert list(Customer.objects.order_by("pk").values()) == before, "nothing is half done"
    assert "The uploaded file is gone" in page_text(confirm(ana, preview)), "what it showed is not true any more"

    assert "Import finished: 2 new, 2 changed, 1 unchanged." in page_text(confirm(ana, refused))
    assert set(Customer.objects.values_list("name", "status")) == {
        (name, "active") for name in ("Ada", "Bo", "Cy", "Di", "New")
    }


def test_a_call_after_the_preview_keeps_no_row_from_being_imported_but_a_block_does(ana, livetok):
    make_tier("premium")
    file = "external_id,name,tier,status,numbers\ncrm-1,Ada,premium,active,+15550001111\n"
    first, second = upload(ana, file), upload(ana, file.replace("1", "2"))
    livetok.begin(sessionId="1", phoneNumber="+15550001111")
    livetok.begin(sessionId="2", phoneNumber="+25550002222")

    assert "Import finished" in page_text(confirm(ana, first))
    blocked = Customer.objects.get(external_id=None)
    blocked.status = "blocked"
    blocked._history_user = ana.user
    blocked.save()

    assert "<del>blocked</del> <ins>active</ins>" in confirm(ana, second).content.decode()
    assert set(Customer.objects.values_list("name", "status")) == {("Ada", "active"), ("", "blocked")}


def test_absent_columns_leave_what_there_is(ana):
    customer = make_customer(make_tier(), external_id="crm-1", email="ada@example.com", status="paused")

    imported(ana, "external_id,name\ncrm-1,Ada L\n")

    customer.refresh_from_db()
    assert (customer.name, customer.email, customer.status) == ("Ada L", "ada@example.com", "paused")
    assert customer.numbers.count() == 1


def test_a_present_numbers_column_replaces_the_list(ana):
    customer = make_customer(make_tier(), "+15550001111", "+15550002222", external_id="crm-1")
    kept = customer.numbers.get(key="+15550002222")

    imported(ana, "external_id,numbers\ncrm-1,+1 555 000 2222;+15550003333\n")

    assert sorted(customer.numbers.values_list("key", flat=True)) == ["+15550002222", "+15550003333"]
    assert PhoneNumber.objects.get(key="+15550002222").pk == kept.pk

    imported(ana, "external_id,numbers\ncrm-1,\n")
    assert not customer.numbers.exists()


def test_a_blank_tier_or_status_leaves_it_and_a_blank_name_empties_it(ana):
    customer = make_customer(make_tier(), external_id="crm-1", status="paused")

    imported(ana, "external_id,name,tier,status\ncrm-1,,,\n")

    customer.refresh_from_db()
    assert (customer.name, customer.tier.slug, customer.status) == ("", "premium", "paused")


def test_unchanged_rows_are_skipped_and_write_no_history(ana):
    customer = make_customer(make_tier(), "+15550001111", "+15550002222", external_id="crm-1")

    preview = upload(ana, "external_id,name,tier,status,numbers\ncrm-1,Ada,premium,active,+15550002222;+15550001111\n")
    confirm(ana, preview)

    assert "0 new, 0 changed, 1 unchanged." in page_text(preview)
    assert customer.history.count() == 1


@pytest.mark.parametrize(
    "row, column, remedy",
    [
        (",Ada,,premium,,,", "external_id", "Give the customer's id"),
        ("crm-1,Ada,,gold,,,", "tier", '"gold" is no tier. Give one of: premium, standard.'),
        ("crm-1,Ada,,,,,", "tier", "A new customer needs a tier"),
        ("crm-1,Ada,,old,,,", "tier", "not offered any more"),
        ("crm-1,Ada,,premium,gone,,", "status", '"gone" is no status. Give one of: active, paused, blocked.'),
        ("crm-1,Ada,nonsense,premium,,,", "email", "Enter a valid email address."),
        ("crm-1,Ada,,premium,,Mars/Base,", "time_zone", "Mars/Base is no time zone. Give a name such as"),
        ("crm-1,Ada,,premium,,,anonymous", "numbers", '"anonymous" is no number'),
        ("crm-1,Ada,,premium,,,+15550009999", "numbers", "belongs to customer Grace (external id crm-9)"),
        (f"crm-1,{'x' * 201},,premium,,,", "name", "at most 200 characters"),
    ],
)
def test_an_error_names_row_column_and_remedy_and_nothing_is_imported(ana, row, column, remedy):
    make_tier("premium")
    make_tier("old", is_active=False)
    make_customer(make_tier("other", is_active=False), "+15550009999", external_id="crm-9", name="Grace")

    page = upload(ana, f"{HEADER}\ncrm-7,Fine,,premium,,,\n{row}\n")

    assert "confirm_form" not in page.context
    assert f"3 {column} " in page_text(page)
    assert remedy in page_text(page)
    assert Customer.objects.count() == 1


def test_all_errors_of_a_row_are_told_at_once(ana):
    make_tier("premium")

    text = page_text(upload(ana, f"{HEADER}\ncrm-1,Ada,x,gold,gone,Mars,\n"))

    for column in ("email", "tier", "status", "time_zone"):
        assert f"2 {column} " in text


def test_a_repeated_external_id_or_number_is_refused(ana):
    make_tier("premium")

    text = page_text(
        upload(
            ana, f"{HEADER}\ncrm-1,A,,premium,,,+15550001111\ncrm-1,B,,premium,,,\ncrm-3,C,,premium,,,+15550001111\n"
        )
    )

    assert '3 external_id "crm-1" is in row 2 too.' in text
    assert "4 numbers +15550001111 is in row 2 too." in text


@pytest.mark.parametrize(
    "content, problem",
    [
        ("name\nAda\n", 'no column "external_id"'),
        ("external_id,name,Name\ncrm-1,a,b\n", "More than one column is named name"),
        ("external_id\n", "No valid data to import"),
        ("", "empty"),
        (b"external_id,name\ncrm-1,Jos\xe9\n", "Save it as CSV in UTF-8"),
        ("external_id\n" + "\n".join(f"crm-{n}" for n in range(MOST_ROWS + 1)), f"more than {MOST_ROWS:,} rows"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(ana, content, problem):
    page = upload(ana, content)

    assert problem in page_text(page)
    assert "Traceback" not in page_text(page)
    assert "confirm_form" not in page.context


def test_a_file_that_is_no_workbook_says_so(ana):
    assert "could not be read" in page_text(upload(ana, b"PK\x03\x04 nonsense", "crm.xlsx"))


def test_columns_that_are_not_read_are_named(ana):
    make_tier("premium")

    text = page_text(upload(ana, "External ID,Name,Tier,Revenue\ncrm-1,Ada,premium,12\n"))

    assert "Not read, since Frontdesk has no such column: revenue." in text
    assert "1 new" in text


def test_semicolons_of_a_spreadsheet_and_a_mark_at_the_start_are_read(ana):
    make_tier("premium")

    imported(ana, "\ufeffexternal_id;name;tier\r\ncrm-1;Zoë, née X;premium\r\n;;\r\n")

    assert Customer.objects.get().name == "Zoë, née X"


def test_a_workbook_with_numbers_as_numbers_is_read(ana):
    make_tier("premium")
    file = xlsx(
        ["external_id", "name", "tier", "numbers"],
        [1001, "Ada", "premium", 15550001111],
        ["crm-2", "Grace", "premium", "+15550002222"],
        [None, None, None, None],
    )

    imported(ana, file, "crm.xlsx")

    assert Customer.objects.get(external_id="1001").numbers.get().key == "+15550001111"
    assert Customer.objects.get(external_id="crm-2").numbers.get().key == "+15550002222"


def test_a_first_contact_with_the_number_becomes_the_imported_customer(ana, livetok):
    livetok.begin(phoneNumber="+15550001111")
    found = Customer.objects.get()
    assert found.is_provisional()

    imported(ana, "external_id,name,numbers\ncrm-1,Ada,+1 555 000 1111\n")

    customer = Customer.objects.get()
    assert (customer.name, customer.external_id, customer.is_provisional()) == ("Ada", "crm-1", False)
    assert Session.objects.get().customer == customer


def test_what_went_wrong_since_the_preview_is_told_and_nothing_is_imported(ana):
    make_customer(make_tier("premium"), external_id="crm-1", name="Ada")
    preview = upload(ana, f"{HEADER}\ncrm-1,Ada L,,premium,,,\ncrm-2,Grace,,premium,,,+15550001111\n")
    make_customer(make_tier("basic"), "+15550001111", external_id="crm-9", name="Quick")

    text = page_text(confirm(ana, preview))

    assert "Nothing was imported." in text
    assert "3 numbers +15550001111 belongs to customer Quick" in text
    assert [customer.name for customer in Customer.objects.all()] == ["Ada", "Quick"]


def test_numbers_that_a_spreadsheet_spoilt_are_refused_with_their_row(ana):
    make_tier("premium")
    rows = "\n\ncrm-1,premium,4.91512E+12\ncrm-2,premium,+491511234567\ncrm-3,premium,########\n"

    text = page_text(upload(ana, f"external_id,tier,numbers{rows}"))

    assert '3 numbers "4.91512E+12" is a number that a spreadsheet has shortened.' in text
    assert '5 numbers "########" is no number.' in text


def test_a_number_cell_with_decimals_is_the_number(ana):
    make_tier("premium")

    imported(ana, xlsx(["external_id", "tier", "numbers"], ["crm-1", "premium", 491511234567.0]), "crm.xlsx")
    imported(ana, "external_id,tier,numbers\ncrm-2,premium,491511234568.0\n")

    assert sorted(PhoneNumber.objects.values_list("key", flat=True)) == ["+491511234567", "+491511234568"]


def test_texts_where_numbers_belong_are_pointed_out(ana):
    make_tier("premium")

    preview = upload(ana, "external_id,tier,numbers\ncrm-1,premium,hello;sip:ada@example.com\n")

    assert 'Row 2: "hello" is no phone number' in page_text(preview)
    assert page_text(preview).count("is no phone number") == 1
    assert "confirm_form" in preview.context


def test_a_long_preview_shows_what_changes_and_counts_the_rest(ana):
    tier = make_tier("premium")
    for number in range(5):
        make_customer(tier, f"+1555000{number:04}", external_id=f"crm-{number}", name="Ada")
    file = "external_id,name,tier\n" + "\n".join(f"crm-{n},Ada,premium" for n in range(MOST_LISTED + 100))

    text = page_text(upload(ana, file))

    assert f"{MOST_LISTED + 95} new, 0 changed, 5 unchanged." in text
    assert f"These are the first {MOST_LISTED} of {MOST_LISTED + 95}." in text


def test_a_bad_character_does_not_break_the_export(ana):
    make_customer(make_tier(), "+15550001111", name="A\vd\ufffea", external_id="crm-1")

    book = openpyxl.load_workbook(io.BytesIO(ana.post(EXPORT, {"format": "1", "resource": ""}).content))

    assert book.active["B2"].value == "Ada"
    assert ana.post(EXPORT, {"format": "0", "resource": ""}).content.startswith(b"\xef\xbb\xbfexternal_id")


def queries_of(work) -> int:
    with CaptureQueriesContext(connection) as queries:
        work()
    return len(queries)


def test_new_rows_and_previews_cost_no_query_each(ana):
    make_tier("premium")

    def file(prefix, count):
        rows = "\n".join(f"{prefix}-{n},Ada,premium,+1555{prefix}{n:06}" for n in range(count))
        return f"external_id,name,tier,numbers\n{rows}\n"

    imported(ana, file("0", 1))
    few, many = upload(ana, file("1", 2)), upload(ana, file("2", 40))
    assert queries_of(lambda: upload(ana, file("2", 40))) == queries_of(lambda: upload(ana, file("1", 2)))
    savepoints = 2 * (40 - 2)
    assert queries_of(lambda: confirm(ana, many)) <= queries_of(lambda: confirm(ana, few)) + savepoints
    assert Customer.objects.count() == 43
    unchanged = [upload(ana, file("1", 2)), upload(ana, file("2", 40))]
    assert "40 unchanged" in page_text(unchanged[1])


def test_a_preview_takes_no_lock(transactional_db):
    """On SQLite begins would wait for it."""
    ana = staff("managers")
    make_tier("premium")
    with CaptureQueriesContext(connection) as queries:
        upload(ana, f"{HEADER}\ncrm-1,Ada,,premium,,,+15550001111\n")

    assert not [query["sql"] for query in queries if query["sql"].startswith(("BEGIN", "INSERT", "UPDATE", "DELETE"))]


@pytest.mark.parametrize(
    "group, may_import, may_export", [("viewers", False, True), ("managers", True, True), (None, False, False)]
)
def test_import_and_export_need_their_permissions(db, group, may_import, may_export):
    client = staff(group)

    assert client.get(IMPORT).status_code == (200 if may_import else 403)
    assert client.post(CONFIRM, {}).status_code == (302 if may_import else 403)
    assert client.get(CONFIRM).status_code == 405
    assert client.get(EXPORT).status_code == (200 if may_export else 403)


def exported(client, query=""):
    response = client.post(f"{EXPORT}{query}", {"format": "0", "resource": ""})
    assert response.headers["Content-Type"] == "text/csv"
    return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))


def test_the_export_has_the_imports_columns_and_the_lists_filters(ana):
    tier = make_tier()
    make_customer(tier, "+44 20 7946 0958", "+1234567890", external_id="crm-1", time_zone="Europe/Madrid")
    make_customer(tier, "+15550001111", name="Grace", status="paused")

    rows = exported(ana)
    assert rows[0] == HEADER.split(",")
    assert rows[1] == ["crm-1", "Ada", "", "premium", "active", "Europe/Madrid", "+1234567890; +44 20 7946 0958"]
    assert [row[1] for row in exported(ana, "?status__exact=paused")[1:]] == ["Grace"]


def test_an_export_imports_again_without_a_change(ana):
    make_customer(make_tier(), "+44 20 7946 0958", "sip:ada@example.com", name="=1+1", external_id="crm-1")
    content = ana.post(EXPORT, {"format": "0", "resource": ""}).content.decode()

    assert "'=1+1" in content
    assert "0 new, 0 changed, 1 unchanged." in page_text(upload(ana, content))


def test_a_workbook_is_exported_without_formulae(ana):
    make_customer(make_tier(), "+15550001111", name='=HYPERLINK("http://x")', external_id="@x")

    response = ana.post(EXPORT, {"format": "1", "resource": ""})

    cells = [cell for row in openpyxl.load_workbook(io.BytesIO(response.content)).active.rows for cell in row]
    assert all(cell.data_type != "f" for cell in cells)
    assert "'@x" in [cell.value for cell in cells]


@pytest.mark.parametrize(
    "text, escaped",
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3", "'-2+3"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("\t=1", "'\t=1"),
        (" =1", "' =1"),
        ("+44 (0)20 7946.0958; +1234", "+44 (0)20 7946.0958; +1234"),
        ("Ada", "Ada"),
        ("", ""),
    ],
)
def test_what_a_spreadsheet_would_run_is_marked_as_text(text, escaped):
    assert cell_of(text) == escaped
    assert text_of(escaped) == text


@pytest.mark.parametrize("cell, text", [(None, ""), ("1001", "1001"), (" a ", "a"), ('="0123"', "0123"), ("'=1", "=1")])
def test_a_cell_is_read_as_the_text_that_one_sees(cell, text):
    assert text_of(cell) == text
