"""A month's statements by each column, and those alone who are over: closed, running, paged and as a file."""

from datetime import date
from decimal import Decimal

import pytest
import time_machine
from django.contrib.auth.models import User

from customers.models import Channel, Customer
from customers.search.keeping import NewCallers
from sessions_app.billing.closing import close_month
from sessions_app.billing.statements import Month
from sessions_app.models import StatementLine
from sessions_app.reports import statement_order, statements
from sessions_app.reports.statement_order import SortedStatements
from sessions_app.reports.statement_rows import MonthlyStatements
from tests.builders import limit, make_tier, moment
from tests.staff import report_page, text_of
from tests.test_report_statements import AFTER, BEFORE, JUNE, call, close, customer_of, end, rows_of

MARCH = Month(date(2024, 3, 1))
START = moment("2024-03-05T10:00:00+00:00")
# Name, tier, minutes by telephone, minutes by chat.
USED = [
    ("Eva", "small", [9], []),
    ("Ada", "large", [1, 1], [50]),
    ("Dov", "small", [3], [7, 1]),
    ("Cem", "endless", [20], []),
    ("Bob", "small", [], [1]),
    ("Fay", "large", [12], []),
    ("Gus", "small", [9], []),
]
INCLUDED = {"small": 2, "large": 10, "endless": None}
PRICES = {"small": "0.10", "large": "0.50"}


@pytest.fixture
def used(livetok):
    """Customers by name, each with what a column sorts by; None comes last. The last one came after the closing."""
    found = {}
    for slug, included in INCLUDED.items():
        limits = [] if included is None else [limit("call_minutes", included, "month", hard=False)]
        price = {"price_per_minute_over": Decimal(PRICES[slug]), "currency": "EUR"} if slug in PRICES else {}
        with time_machine.travel(BEFORE, tick=False):
            make_tier(slug, *limits, rounding_seconds=60, **price)
    for index, (name, slug, calls, chats) in enumerate(USED):
        number = f"+1555{index:07}"
        customer_of(name=name, number=number, slug=slug)
        for kind, all_minutes in (("telephony", calls), ("chat", chats)):
            for place, minutes in enumerate(all_minutes):
                call(livetok, f"{name}-{kind}-{place}", START, 60 * minutes - 1, number, kind=kind)
        included = INCLUDED[slug]
        over = None if included is None else max(0, sum(calls) - included)
        found[name] = {
            "customer": name, "tier": slug.capitalize(), "sessions": len(calls) + len(chats),
            "channel:telephony": sum(calls) if calls else None, "channel:chat": sum(chats) if chats else None,
            "calls": sum(calls), "included": included, "over": over,
            "sum": None if over is None or slug not in PRICES else over * Decimal(PRICES[slug]),
        }  # fmt: skip
    return found


def in_order(used, sort, only_over=False):
    names = [name for name in used if not only_over or used[name]["over"]]
    column, down = sort.removeprefix("-"), sort.startswith("-")
    filled = [name for name in names if used[name][column] is not None]
    filled.sort(key=lambda name: used[name][column], reverse=down)
    return filled + [name for name in names if name not in filled]


def listed(sort, only_over=False, size=4):
    """The names, read page by page."""
    numbers, read = [], SortedStatements(MonthlyStatements(MARCH, ""), sort, only_over)
    while page := read.numbers(len(numbers), size):
        numbers += page
    by_number = dict(Customer.objects.values_list("pk", "name"))
    return [by_number[number] for number in numbers]


def differing(used):
    return [
        (sort, only_over, expected, found)
        for column in next(iter(used.values()))
        for sort in (column, f"-{column}")
        for only_over in (False, True)
        if (expected := in_order(used, sort, only_over)) != (found := listed(sort, only_over))
    ]


def test_every_column_sorts_up_and_down_whether_a_month_is_closed_or_not(livetok, monkeypatch, used):
    monkeypatch.setattr(statement_order, "EXPORTED_AT_ONCE", 4)
    assert differing(used) == []
    assert listed("", only_over=True) == ["Eva", "Dov", "Fay", "Gus"]

    close_month(MARCH, User.objects.create_superuser("closer"))
    assert StatementLine.objects.count() == len(used)
    assert differing(used) == []
    assert listed("", only_over=True) == ["Eva", "Dov", "Fay", "Gus"]

    # Who has no line, since all came after the closing, comes last on whichever page that is.
    for place, name in enumerate(["Hal", "Ida"]):
        customer_of(name=name, number=f"+1556000000{place}", slug="small")
        call(livetok, name, START, 600, f"+1556000000{place}", kind="telephony", now=AFTER)
        used[name] = dict.fromkeys(used["Eva"])
    assert differing(used) == []
    rows = SortedStatements(MonthlyStatements(MARCH, ""), "-over", False).every_row()
    assert [row.name for row in rows] == in_order(used, "-over")
    assert [listed("-over", size=size) for size in (1, 2, 7, 8, 9)] == [in_order(used, "-over")] * 5


def test_pages_and_the_file_follow_the_order_by_their_links(viewer, monkeypatch, used):
    monkeypatch.setattr(statements, "PAGE_SIZE", 3)
    asked, ways = "statements/?month=2024-03&sort=-over", []
    response = report_page(viewer, asked, AFTER)
    for link in ("later", "earlier"):
        pages = [response]
        while (start := response.context[link]) is not None:
            assert f"sort=-over&amp;start={start}#list" in response.content.decode()
            response = report_page(viewer, f"{asked}&start={start}", AFTER)
            pages.append(response)
        ways.append([[line["row"].name for line in page.context["rows"]] for page in pages])

    assert ways[1] == ways[0][::-1]
    assert [name for names in ways[0] for name in names] == in_order(used, "-over")
    file = report_page(viewer, f"{asked}&format=csv", AFTER)
    assert [row["Customer"] for row in rows_of(file)] == in_order(used, "-over")


def test_the_order_is_kept_in_links_and_forms_and_told_to_screen_readers(viewer, used):
    response = report_page(viewer, "statements/?month=2024-03&sort=-over&only_over=on", AFTER)
    html = response.content.decode()

    kept = "?month=2024-03&amp;sort=-over&amp;only_over=on"
    assert html.count("aria-sort=") == 1
    ascending = "?month=2024-03&amp;sort=over&amp;only_over=on#list"
    assert f'aria-sort="descending"><a href="{ascending}">Over</a>' in html
    assert f'{kept}&amp;format=csv"' in html
    assert '<input type="hidden" name="sort" value="-over"' in html
    assert 'name="only_over" id="filter-only_over" checked' in html
    assert (
        f'"{kept.replace("2024-03", "2024-02")}"'
        in report_page(
            viewer, "statements/?month=2024-03&sort=-over&only_over=on", moment("2024-03-20T00:00Z")
        ).content.decode()
    )


def test_what_cannot_be_sorted_is_told(livetok, viewer, monkeypatch, used):
    assert "Nothing is sorted by “age”" in text_of(report_page(viewer, "statements/?month=2024-03&sort=age", AFTER))

    call(livetok, "april", moment("2024-04-01T10:00:00+00:00"), 60, "+15550000000")
    call(livetok, "april too", moment("2024-04-01T10:00:00+00:00"), 60, "+15550000001")
    assert "Eva" in text_of(report_page(viewer, "statements/?month=2024-04&sort=over", AFTER))
    for most in ("MOST_CUSTOMERS", "MOST_SESSIONS"):
        with monkeypatch.context() as patch:
            patch.setattr(statement_order, most, 1)
            for asked in ("sort=over", "only_over=on"):
                refused = report_page(viewer, f"statements/?month=2024-04&{asked}", AFTER)
                assert "is sorted by customer and sessions alone until it is closed" in text_of(refused)
    monkeypatch.setattr(statement_order, "MOST_SESSIONS", 1)
    response = report_page(viewer, "statements/?month=2024-04&sort=-customer", AFTER)
    assert [line["row"].name for line in response.context["rows"]] == ["Eva", "Ada"]
    assert [head.column.label for head in response.context["heads"] if head.column.name] == ["Customer", "Sessions"]
    assert Customer.objects.count() == len(used)

    close(User.objects.create_superuser("closer"))
    assert "Eva" in text_of(report_page(viewer, "statements/?month=2024-03&only_over=on", AFTER))
    end(livetok, "Ada-telephony-0", START, 6000, "+15550000001", AFTER)
    refused = report_page(viewer, "statements/?month=2024-03&only_over=on", AFTER)
    assert "Close the next month, which bills the corrections" in text_of(refused)


def test_only_over_of_a_closed_month_counts_corrections_whether_they_are_billed_or_not(livetok, used):
    """Changed since the closing: Dov is over no more, Ada is by now, and so is Hal, who had nothing to close."""
    close(closer := User.objects.create_superuser("closer"))
    with time_machine.travel(AFTER, tick=False):
        livetok.end(sessionId="Dov-telephony-0", phoneNumber="+15550000002", timestamp=AFTER.isoformat(), duration=60)
    end(livetok, "Ada-telephony-0", START, 6000, "+15550000001", AFTER)
    end(livetok, "Cem-telephony-0", START, 6000, "+15550000003", AFTER)
    customer_of(name="Hal", number="+15560000000", slug="small")
    call(livetok, "hal", START, 600, "+15560000000", kind="telephony", now=AFTER)

    expected = ["Eva", "Ada", "Fay", "Gus", "Hal"]
    assert [listed("", only_over=True, size=size) for size in (1, 4, 9)] == [expected] * 3
    # By the statement as it was closed; who has none comes last.
    assert listed("-over", only_over=True, size=2) == ["Eva", "Gus", "Fay", "Ada", "Hal"]
    NewCallers().run()
    assert [row.name for row in SortedStatements(MonthlyStatements(MARCH, "hal"), "", True).every_row()] == ["Hal"]

    close(closer, MARCH.next, JUNE)
    assert listed("", only_over=True) == expected


@pytest.mark.parametrize("is_closed", [False, True])
def test_each_page_has_the_heads_of_the_whole_list(livetok, viewer, monkeypatch, used, is_closed):
    monkeypatch.setattr(statements, "PAGE_SIZE", 1)
    if is_closed:
        close(User.objects.create_superuser("closer"))
        # Not billed yet, and on a channel that no line has.
        call(livetok, "late", START, 60, "+15550000006", kind="sms", now=AFTER)
    numbers = list(Customer.objects.order_by("pk").values_list("pk", flat=True))
    asked = [f"&after={number}" for number in (0, *numbers[:-1])] + [f"&sort=-over&start={n}" for n in range(7)]
    heads = {
        tuple(
            head.column.label for head in report_page(viewer, f"statements/?month=2024-03{one}", AFTER).context["heads"]
        )
        for one in asked
    }

    channels = ("chat", "sms", "telephony") if is_closed else ("chat", "telephony")
    assert heads == {("Customer", "Tier", "Sessions", *channels, "Call minutes", "Included", "Over", "Sum")}
    NewCallers().run()
    searched = report_page(viewer, "statements/?month=2024-03&q=cem", AFTER)
    assert [line["row"].name for line in searched.context["rows"]] == ["Cem"]
    assert "Sum" not in [head.column.label for head in searched.context["heads"]]


def test_a_closed_month_is_sorted_by_a_channel_in_any_script(livetok, used):
    slugs = ["1", "téléphone", "電話", 'a"b']
    for slug in slugs:
        Channel.objects.create(slug=slug)
        call(livetok, f"on {slug}", START, 60, "+15550000004", kind=slug)
    close(User.objects.create_superuser("closer"))

    assert [listed(f"-channel:{slug}")[0] for slug in slugs] == ["Bob"] * len(slugs)
