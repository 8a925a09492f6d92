"""What report pages share: ranges and what they compare with, figures, and tables as files."""

import re
from datetime import UTC, datetime
from io import BytesIO
from zoneinfo import ZoneInfo

import pytest
from django.template.defaultfilters import date as date_filter
from django.utils import timezone
from openpyxl import load_workbook

from customers.keyset import Page, page_beside
from customers.spreadsheets import MOST_CHARACTERS, cell_of
from sessions_app.reports.frame.charts import Bar, draw_bars
from sessions_app.reports.frame.export import TooManyRows, export
from sessions_app.reports.frame.figures import change_words, kind_of_change, points_words, sessions_address, share_words
from sessions_app.reports.frame.ranges import preset_range
from sessions_app.templatetags import reports
from tests.builders import moment

MADRID = ZoneInfo("Europe/Madrid")


@pytest.mark.parametrize(
    "preset, now, first, until",
    [
        ("today", "2024-03-15 12:00", "2024-03-14 00:00", "2024-03-14 12:00"),
        ("yesterday", "2024-03-15 12:00", "2024-03-13 00:00", "2024-03-14 00:00"),
        ("7d", "2024-03-15 12:00", "2024-03-02 00:00", "2024-03-08 12:00"),
        ("month", "2024-03-15 12:00", "2024-02-01 00:00", "2024-02-15 12:00"),
        ("month", "2024-03-31 12:00", "2024-02-01 00:00", "2024-03-01 00:00"),
        ("last_month", "2024-03-15 12:00", "2024-01-01 00:00", "2024-02-01 00:00"),
        # The clock goes forward on the last Sunday of March: up to the same time of day.
        ("today", "2024-04-01 12:00", "2024-03-31 00:00", "2024-03-31 12:00"),
    ],
)
def test_a_running_period_is_compared_with_the_same_part_of_the_preceding_one(preset, now, first, until):
    moment = datetime.fromisoformat(now).replace(tzinfo=MADRID)

    before = preset_range(preset, moment, MADRID).preceding(moment)

    assert f"{before.starts_at.astimezone(MADRID):%Y-%m-%d %H:%M}" == first
    assert f"{before.ends_before.astimezone(MADRID):%Y-%m-%d %H:%M}" == until


@pytest.mark.parametrize(
    "highest, scale",
    [
        (0, ["0", "1", "2"]),
        (3, ["0", "2", "4"]),
        (10, ["0", "5", "10"]),
        (11, ["0", "10", "20"]),
        (21, ["0", "15", "30"]),
        (404, ["0", "250", "500"]),
        (1001, ["0", "1,000", "2,000"]),
    ],
)
def test_a_charts_scale_is_of_round_numbers_and_little_higher_than_its_highest_column(highest, scale):
    chart = draw_bars([Bar("Monday", low=highest, high=0, title="")])

    assert [tick.label for tick in chart.scale] == scale


def test_a_charts_columns_stack_and_stay_within_it():
    chart = draw_bars([Bar("Monday", low=300, high=100, title=""), Bar("Tuesday", low=0, high=0, title="")])

    monday, tuesday = chart.bars
    assert (monday.low_height, monday.high_height) == (150, 50)
    assert monday.high_y + monday.high_height == monday.low_y
    assert monday.low_y + monday.low_height == chart.foot
    assert (tuesday.low_height, tuesday.high_height) == (0, 0)
    assert monday.x + monday.width < tuesday.x


@pytest.mark.parametrize(
    "current, before, words",
    [(112, 100, "+12.0 %"), (50, 100, "−50.0 %"), (5, 0, "new"), (0, 0, "as before"), (7, 7, "as before")],
)
def test_changes_are_put_in_words(current, before, words):
    assert change_words(current, before) == words


def test_rates_change_in_points_and_nothing_is_divided_by_zero():
    assert points_words(0.95, 0.9) == "+5.0 points"
    assert points_words(None, 0.9) == ""
    assert share_words(1, 3) == "33.3 %"
    assert share_words(0, 0) == "–"
    assert kind_of_change(3, 2, more_is_good=False) == "bad"
    assert kind_of_change(3, 3, more_is_good=True) == ""


def test_an_address_of_sessions_leaves_out_what_is_not_asked_for():
    assert sessions_address(state="denied", tier=None, q="") == "/reports/sessions/?state=denied"
    assert sessions_address() == "/reports/sessions/"
    assert sessions_address(weekday=0, test=True, used=False) == "/reports/sessions/?weekday=0&test=on"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-2", "@SUM(A1)", "\t=1", "\n1", "＝1", "\ufeff=1", "\u200b@x", "﹣2"]
)
def test_formulae_are_escaped(text):
    assert cell_of(text) == "'" + text


@pytest.mark.parametrize("text", ["", "Ada", "+442079460958", "a=b"])
def test_plain_texts_and_phone_numbers_stay(text):
    assert cell_of(text) == text


ROWS = [["=cmd", 3, datetime(2024, 3, 15, 10, 30, tzinfo=UTC), None], ['Zoë, "A"', 1.5, None, "bell\x07"]]
COLUMNS = ["Name", "Number", "When", "Note"]


def test_a_csv_file_holds_the_rows_as_a_spreadsheet_reads_them():
    response = export("sessions", "csv", COLUMNS, ROWS)

    text = b"".join(response.streaming_content).decode("utf-8-sig")

    assert response["Content-Disposition"] == 'attachment; filename="sessions.csv"'
    assert text.splitlines() == [
        "Name,Number,When,Note",
        "'=cmd,3,2024-03-15 10:30:00+00:00,",
        '"Zoë, ""A""",1.5,,bell',
    ]


def test_an_xlsx_file_holds_the_same_cells():
    response = export("sessions", "xlsx", COLUMNS, ROWS)

    sheet = load_workbook(BytesIO(b"".join(response.streaming_content))).active

    assert [list(row) for row in sheet.iter_rows(values_only=True)] == [
        COLUMNS,
        ["'=cmd", 3, datetime(2024, 3, 15, 10, 30), None],
        ['Zoë, "A"', 1.5, None, "bell"],
    ]


@pytest.mark.parametrize("text", ["a\x0bb", "a\ufffeb", "a\uffffb", "a\ud800b", "a\x00b"])
def test_no_character_in_a_cell_or_header_breaks_a_file(text):
    book = export("sessions", "xlsx", [text], [[text]])
    sheet = load_workbook(BytesIO(b"".join(book.streaming_content))).active
    csv_file = b"".join(export("sessions", "csv", [text], [[text]]).streaming_content)

    assert [row[0].value for row in sheet.rows] == ["ab", "ab"]
    assert csv_file.decode("utf-8-sig").split() == ["ab", "ab"]


def test_a_cell_is_cut_where_excel_ends_it():
    assert len(cell_of("x" * 40_000)) == MOST_CHARACTERS
    assert len(cell_of("😀" * 20_000).encode("utf-16-le")) <= 2 * MOST_CHARACTERS
    assert cell_of("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS


def test_an_xlsx_file_ends_where_csv_must_take_over(monkeypatch):
    monkeypatch.setattr("sessions_app.reports.frame.export.MOST_XLSX_ROWS", 100)

    with pytest.raises(TooManyRows):
        export("sessions", "xlsx", ["Number"], ([number] for number in range(101)))


@pytest.mark.parametrize("text", ["2024-03-31T23:30:05+00:00", "2026-11-01T00:00:00+00:00", "1999-12-09T09:08:07.5Z"])
def test_moments_are_said_as_the_date_filter_says_them(text):
    at = timezone.localtime(moment(text))

    assert reports.moment(at) == date_filter(at, "D j M Y, H:i:s")
    assert reports.iso(at) == date_filter(at, "c")


def test_a_bar_is_as_wide_as_its_share_and_of_its_kind():
    assert '<svg class="bar" ' in reports.bar(12.5)
    assert '<svg class="bar bad" ' in reports.bar(100.0, "bad")
    assert [re.search(r'filled" width="(.*?)"', reports.bar(percent))[1] for percent in (0.0, 12.5, 100.0)] == [
        "0",
        "12.5",
        "100.0",
    ]


@pytest.mark.parametrize(
    ("after", "before", "shown", "has_previous", "has_next"),
    [
        (None, None, [1, 2, 3], False, True),
        (3, None, [4, 5, 6], True, True),
        (6, None, [7], True, False),
        (7, None, [], True, False),
        (None, 7, [4, 5, 6], True, True),
        (None, 5, [2, 3, 4], True, True),
        (None, 4, [1, 2, 3], False, True),
        (None, 3, [1, 2, 3], False, True),  # less than a page comes before: the first one, filled up
        (6, 3, [1, 2, 3], False, True),
    ],
)
def test_a_page_is_the_one_after_a_place_or_before_one(after, before, shown, has_previous, has_next):
    rows = range(1, 8)
    page = page_beside(
        after,
        before,
        3,
        lambda place, most: [row for row in rows if row > (place or 0)][:most],
        lambda place, most: [row for row in reversed(rows) if row < place],
    )

    assert page == Page(shown, has_previous, has_next)
