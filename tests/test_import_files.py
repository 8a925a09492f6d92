"""Files that staff bring: read by what is there, refused in words, and never larger in memory than they may be."""

import subprocess
import sys
from pathlib import Path

import pytest

from customers.importing import tables
from customers.importing.cells import COLUMNS, KEY_COLUMN, numbers_of
from customers.importing.delimited import rows_of_csv
from customers.importing.tables import MOST_ROWS, UnreadableFile, table_of
from customers.importing.workbooks import rows_of_xlsx
from tests.workbooks import MAIN, packed, text_row, workbook

ROOT = Path(__file__).resolve().parent.parent
MOST_MEGABYTES = 200


def csv_table(data):
    table = table_of(rows_of_csv(data if isinstance(data, bytes) else data.encode()), COLUMNS, KEY_COLUMN)
    return [(number, list(cells)) for number, cells in table.rows]


def xlsx_table(data):
    table = table_of(rows_of_xlsx(data), COLUMNS, KEY_COLUMN)
    return [(number, list(cells)) for number, cells in table.rows]


def sheet_of(*rows):
    return workbook("".join(rows))


# What could fill the memory

READ_IN_A_PROCESS_OF_ITS_OWN = """
import re, sys
from customers.importing import tables
from customers.importing.delimited import rows_of_csv
from customers.importing.tables import UnreadableFile, table_of
from customers.importing.workbooks import rows_of_xlsx
tables.READING_SECONDS = 300  # what is looked at is memory, on a busy machine too
reader = {"csv": rows_of_csv, "xlsx": rows_of_xlsx}[sys.argv[1]]
try:
    print(len(table_of(reader(sys.stdin.buffer.read()), ["external_id"], "external_id").rows), "rows")
except UnreadableFile as error:
    print(error)
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""


def read_apart(kind, data):
    """What reading the file says, and the megabytes that a process of its own took for it."""
    command = [sys.executable, "-c", READ_IN_A_PROCESS_OF_ITS_OWN, kind]
    told = subprocess.run(command, input=data, capture_output=True, cwd=ROOT, check=True)
    said, megabytes = told.stdout.decode().splitlines()
    return said, int(megabytes)


def names(count):
    return "".join(f"<n{number}/>" for number in range(count))


LARGE = {
    "a formatted cell in the last place": lambda: workbook(
        '<row r="1048576"><c r="XFD1048576" s="1"/></row>', before='<dimension ref="A1:XFD1048576"/>'
    ),
    "a formatted cell far to the right": lambda: workbook('<row r="5000"><c r="XFD5000" s="1"/></row>'),
    "one cell of a large stated dimension": lambda: workbook(
        text_row(4000, "crm-1"), before='<dimension ref="A1:XFD4000"/>'
    ),
    "a row of blank cells without an end": lambda: workbook("<row>" + "<c/>" * 2_000_000 + "</row>"),
    "rows without an end": lambda: workbook("<row/>" * 1_000_000),
    "tags within tags": lambda: workbook("<a>" * 3_000_000),
    "names that are all different": lambda: workbook(names(1_000_000)),
    "an attribute without an end": lambda: workbook('<row a="' + "x" * 50_000_000 + '"/>'),
    "a cell without an end": lambda: workbook(text_row(2, "x" * 60_000_000)),
    "texts that all differ": lambda: workbook(
        text_row(2, "crm-1"),
        strings="<sst>" + "".join(f"<si><t>{n}</t></si>" for n in range(1_000_000)),
    ),
    "a text of zeros in shared texts": lambda: workbook(strings="<sst><si><t>" + "0" * 80_000_000),
    "cells of wide characters": lambda: workbook("".join(text_row(n, "😀" + "x" * 30_000) for n in range(2, 1900))),
    "relations without an end": lambda: packed(
        {"_rels/.rels": "<R>" + "".join(f'<Relationship Id="{n}"/>' for n in range(200_000))}
    ),
    "a document type": lambda: workbook(
        text_row(2, "&b;"), prologue='<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    ),
}


SAID = {
    "a formatted cell in the last place": "0 rows",
    "a formatted cell far to the right": "0 rows",
    "one cell of a large stated dimension": "1 rows",
    "rows without an end": "0 rows",
    "a cell without an end": "1 rows",
    "cells of wide characters": "too much text",
    "a document type": "could not be read",
}


@pytest.mark.parametrize("case", LARGE)
def test_no_workbook_fills_the_memory(case):
    said, megabytes = read_apart("xlsx", LARGE[case]())

    assert SAID.get(case, "The workbook is too large") in said
    assert megabytes < MOST_MEGABYTES


@pytest.mark.parametrize(
    "data, said",
    [
        ("external_id" + "," * 100_000 + "\n", "Row 1 has more than 500 columns"),
        ("external_id" + ",ab" * 1_700_000, "Row 1 has more than 500 columns"),
        ("external_id" + ",x" * 600 + "\n", "Row 1 has more than 500 columns"),
        ("external_id\n" + '"\n"' * 1_200_000, "cannot be read"),
        ("external_id\n" + "x\n" * 2_500_000, "more than 20,000 rows"),
    ],
)
def test_no_csv_file_fills_the_memory(data, said):
    told, megabytes = read_apart("csv", data.encode())

    assert said in told
    assert megabytes < MOST_MEGABYTES


def test_entities_that_name_files_are_not_followed():
    prologue = '<!DOCTYPE a [<!ENTITY file SYSTEM "file:///etc/passwd">]>'

    with pytest.raises(UnreadableFile, match="could not be read"):
        xlsx_table(workbook(text_row(2, "&file;"), prologue=prologue))


def test_reading_ends_after_its_time(monkeypatch):
    monkeypatch.setattr(tables, "READING_SECONDS", -1.0)

    for read, data in ((csv_table, "external_id\ncrm-1\n"), (xlsx_table, sheet_of(text_row(2, "crm-1")))):
        with pytest.raises(UnreadableFile, match="takes longer than"):
            read(data)


# What other programs write


@pytest.mark.parametrize(
    "dimension", ["", '<dimension ref="A1"/>', '<dimension ref="A1:XFD1"/>', '<dimension ref="?"/>']
)
def test_a_workbook_is_read_by_what_is_there(dimension):
    assert xlsx_table(workbook(text_row(2, "crm-1") + text_row(7, "crm-2"), before=dimension)) == [
        (2, ["crm-1"]),
        (7, ["crm-2"]),
    ]


def test_too_many_rows_of_a_workbook_are_told_as_such():
    rows = "".join(f"<row><c><v>{number}</v></c></row>" for number in range(100_000))

    with pytest.raises(UnreadableFile, match=f"more than {MOST_ROWS:,} rows"):
        xlsx_table(workbook(rows))


def test_as_many_rows_as_may_be_are_read():
    rows = "".join(f"<row><c><v>{number}</v></c></row>" for number in range(MOST_ROWS))

    assert len(xlsx_table(workbook(rows))) == MOST_ROWS
    assert len(csv_table("external_id\n" + "\n".join(f"crm-{number}" for number in range(MOST_ROWS)))) == MOST_ROWS


@pytest.mark.parametrize(
    "cell, text",
    [
        ("<c><v>491511234567</v></c>", "491511234567"),
        ("<c><v>491511234567.0</v></c>", "491511234567"),
        ("<c><v>4.91511234567E+11</v></c>", "491511234567"),
        ("<c><v>4.9151123456789012E+17</v></c>", "4.9151123456789012E+17"),
        ("<c><v>1.5</v></c>", "1.5"),
        ('<c t="b"><v>1</v></c>', "TRUE"),
        ('<c t="e"><v>#N/A</v></c>', "#N/A"),
        ('<c t="str"><f>"+49"&amp;A1</f><v>+491</v></c>', "+491"),
        ('<c><f>"+4915112345678"</f></c>', "+4915112345678"),
        ('<c t="s"><v>1</v></c>', "Zoë née"),
        ('<c t="inlineStr"><is><r><t>A</t></r><r><t>da</t></r><rPh><t>no</t></rPh></is></c>', "Ada"),
        ('<c t="inlineStr"><is><t>_x005F_x0041__xD800_</t></is></c>', "_x0041__xD800_"),
    ],
)
def test_a_cell_is_read_as_a_spreadsheet_shows_it(cell, text):
    strings = (
        f'<sst xmlns="{MAIN}"><si><t>0</t></si><si><r><t>Zoë </t></r><r><t>née</t></r><rPh><t>x</t></rPh></si></sst>'
    )

    assert xlsx_table(workbook(f"<row>{cell}</row>", strings=strings)) == [(2, [text])]


def test_prefixes_and_paths_are_the_programs_own():
    row = text_row(2, "crm-1").replace("<", "<x:").replace("<x:/", "</x:")
    header = text_row(1, "external_id").replace("<", "<x:").replace("<x:/", "</x:")
    sheet = f'<x:worksheet xmlns:x="{MAIN}"><x:sheetData>{header}{row}</x:sheetData></x:worksheet>'

    assert xlsx_table(workbook(sheet=sheet)) == [(2, ["crm-1"])]


@pytest.mark.parametrize(
    "data, problem",
    [
        (b"PK\x03\x04 nonsense", "could not be read"),
        (b"\xd0\xcf\x11\xe0 an older workbook", "could not be read"),
        (packed({"a.txt": "no workbook"}), "could not be read"),
        (workbook('<row><c t="s"><v>7</v></c></row>'), "could not be read"),
        (workbook("<row><c><v>1</v></row>"), "could not be read"),
        (workbook('<row r="2"><c r="ZZ2"><v>1</v></c></row>'), "Row 2 has more than 500 columns"),
        (workbook(text_row(2, "crm-1", "beside it")), "Row 2 has more cells than the first row"),
        (workbook(text_row(2, "a_x0000_b")), "Row 2 holds a NUL character"),
    ],
)
def test_a_workbook_that_cannot_be_read_says_why(data, problem):
    with pytest.raises(UnreadableFile, match=problem):
        xlsx_table(data)


@pytest.mark.parametrize(
    "data",
    [
        "external_id,name\ncrm-1,\"a;b\"\n",
        "external_id;name\ncrm-1;a;b\n".replace("a;b", '"a;b"'),
        "external_id\tname\r\ncrm-1\ta;b\r\n",
        "sep=;\r\nexternal_id;name\r\ncrm-1;\"a;b\"\r\n",
        'sep=|\nexternal_id|name\ncrm-1|a;b\n',
        "\ufeffexternal_id,name\ncrm-1,a;b\n\n,,\n",
        "\ufeffexternal_id,name\ncrm-1,a;b\n".encode("utf-16-le"),
        "external_id,name\ncrm-1,a;b\n".encode("utf-16"),
        "\ufeffexternal_id\tname\ncrm-1\ta;b\n".encode("utf-16-be"),
    ],
)  # fmt: skip
def test_csv_is_read_as_spreadsheets_of_many_countries_write_it(data):
    assert csv_table(data) == [(2, ["crm-1", "a;b"])]


@pytest.mark.parametrize(
    "data, problem",
    [
        ("external_id,numbers\ncrm-1,+491,+492\n", "Row 2 has more cells than the first row"),
        ('external_id,name\ncrm-1,"Ada\ncrm-2,Grace\n', "Row 2 cannot be read: a double quote is not closed"),
        ('external_id,name\ncrm-0,x\ncrm-1,"Ada"x\n', "Row 3 cannot be read"),
        ("external_id,name\ncrm-1,A\0da\n", "Row 2 holds a NUL character"),
        ("external_id,name\ncrm-1,José\n".encode("cp1252"), "Line 2 is not in UTF-8. Save it as CSV in UTF-8"),
        ("external_id,name\n".encode("utf-16-le"), "NUL character, as a file does that is not in UTF-8"),
        (b"PK\x03\x04", "Choose the format XLSX"),
        ("", "The file is empty"),
        ("\n,,\n", "The file is empty"),
    ],
)
def test_a_csv_file_that_cannot_be_read_says_where_and_why(data, problem):
    with pytest.raises(UnreadableFile, match=problem):
        csv_table(data)


def test_rows_keep_the_numbers_that_a_spreadsheet_gives_them():
    data = 'sep=,\nexternal_id,name\n\ncrm-1,"two\nlines"\ncrm-2,x\n'

    assert [number for number, _ in csv_table(data)] == [3, 4]


def test_columns_without_a_name_are_told_where_something_stands_in_them():
    table = table_of(rows_of_csv(b",external_id,,Revenue\n0,crm-1,,3\n"), COLUMNS, KEY_COLUMN)

    assert table.columns_not_read == ["revenue", "column 1"]


# Numbers


@pytest.mark.parametrize(
    "cell, numbers",
    [
        ("491511234567.0", ["491511234567"]),
        ("'491511234567", ["491511234567"]),
        ('="+491511234567"', ["+491511234567"]),
        ("+491,+492;+493 / +494\n+495\r\n+496", ["+491", "+492", "+493", "+494", "+495", "+496"]),
        ("0151/12345", ["0151/12345"]),
        ('"+4915112345;ext=5"; +492', ["+4915112345;ext=5", "+492"]),
        ('"a ""b"""', ['a "b"']),
        ("sip:ada@example.com", ["sip:ada@example.com"]),
        (" ; ,", []),
        ("", []),
    ],
)
def test_numbers_are_read_as_people_write_them(cell, numbers):
    assert numbers_of(cell) == numbers


@pytest.mark.parametrize(
    "cell", ["4.91512E+12", "4,91512E+12", "########", "#N/A", "#REF!", "nan", "NULL", "None", "+491; n/a", "+491; …"]
)
def test_what_a_spreadsheet_left_of_a_number_is_refused(cell):
    with pytest.raises(ValueError, match=r"no number|shortened|more numbers"):
        numbers_of(cell)


def test_a_cell_of_nothing_but_dividers_is_read_at_once():
    for char in ("\n", " ", '"', "/", " /", '""', ";"):
        numbers_of(char * (30_000 // len(char)) + "x")
