"""Prices: what minutes over the included ones come to, and that a closed month keeps its price and sum."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine

from customers.currencies import money_words, price_of, price_words
from customers.models import Tier
from sessions_app.models import StatementLine, StatementMonth
from tests.api import Api
from tests.builders import limit, make_tier, moment
from tests.staff import form_of, report_page, staff, text_of
from tests.test_report_statements import AFTER, BEFORE, JUNE, MARCH, call, close, customer_of, end, show

APRIL = type(MARCH)(MARCH.after)


def set_price(price, currency="EUR", at=BEFORE):
    tier = Tier.objects.get(slug="premium")
    tier.price_per_minute_over, tier.currency = price and Decimal(price), currency
    with time_machine.travel(at, tick=False):
        tier.save()


def sums(client, query="?month=2024-03"):
    return [
        (line["row"].kind, line["row"].price_words, line["row"].sum_words)
        for line in show(client, query).context["rows"]
    ]


@pytest.fixture
def closer(db):
    return staff("administrators", "closer").user


@pytest.fixture
def over(livetok):
    """A customer with an hour over two included minutes, at 0.1255 EUR a minute since January."""
    customer = customer_of(limit("call_minutes", 2, "month", hard=False), rounding=1)
    set_price("0.1255")
    call(livetok, "a", moment("2024-03-05T10:00:00+00:00"), 62 * 60 + 1, kind="telephony")
    return customer


@pytest.mark.parametrize(
    ("seconds", "price", "currency", "money"),
    [
        (60, "0.005", "EUR", "0.01 EUR"),  # half up
        (60, "0.0049", "EUR", "0.00 EUR"),
        (1, "0.30", "EUR", "0.01 EUR"),
        (60, "0.5", "JPY", "1 JPY"),
        (60, "0.0005", "KWD", "0.001 KWD"),
        (200, "1", "USD", "3.33 USD"),
        (10**9, "99999.9999", "EUR", "1,666,666,665,000.00 EUR"),
        (0, "5", "EUR", "0.00 EUR"),
    ],
)
def test_a_sum_is_rounded_half_up_to_the_currencys_minor_unit(seconds, price, currency, money):
    assert money_words(price_of(seconds, Decimal(price), currency), currency) == money


@pytest.mark.parametrize(
    ("price", "words"), [("0.1000", "0.10 EUR"), ("0.1255", "0.1255 EUR"), ("1234", "1,234.00 EUR"), ("0", "0.00 EUR")]
)
def test_a_price_is_shown_as_precise_as_it_was_given(price, words):
    assert price_words(Decimal(price), "EUR") == words


def test_a_statement_goes_by_the_price_in_force_at_the_months_end(over, viewer):
    # 3,601 s over: 60.0167 min at 0.1255 are 7.5321 EUR.
    assert sums(viewer) == [("statement", "0.1255 EUR", "7.53 EUR")]
    set_price("9", at=moment("2024-04-01T00:00:00+00:00"))
    assert sums(viewer) == [("statement", "0.1255 EUR", "7.53 EUR")]
    set_price("2", "JPY", at=moment("2024-03-31T23:59:59+00:00"))
    assert sums(viewer) == [("statement", "2 JPY", "120 JPY")]
    set_price(None, "", at=moment("2024-03-31T23:59:59.5+00:00"))
    assert sums(viewer) == [("statement", "", "–")]


def test_a_tier_that_is_gone_since_has_its_price_in_the_months_that_it_held(over, viewer):
    with time_machine.travel(BEFORE, tick=False):
        gone = make_tier("gone", limit("call_minutes", 2, "month", hard=False))
        gone.price_per_minute_over, gone.currency = Decimal("0.10"), "EUR"
        gone.save()
    served = over.tier
    for at, tier in (("2024-03-30T10:00:00+00:00", gone), ("2024-04-02T10:00:00+00:00", served)):
        with time_machine.travel(moment(at), tick=False):
            over.tier = tier
            over.save()
    with time_machine.travel(AFTER, tick=False):
        gone.delete()

    assert sums(viewer) == [("statement", "0.10 EUR", "6.00 EUR")]


def test_nothing_is_over_and_nothing_charged_where_no_limit_includes_minutes(livetok, viewer):
    customer_of(limit("call_minutes", 2), rounding=1)
    set_price("0.10")
    call(livetok, "a", moment("2024-03-05T10:00:00+00:00"), 60, kind="telephony")

    assert sums(viewer) == [("statement", "0.10 EUR", "–")]


def test_a_closed_month_keeps_price_and_sum_and_corrections_add_up_to_one_statement(over, livetok, viewer, closer):
    close(closer)
    Tier.history.all().delete()
    set_price("9", "USD", at=JUNE)
    assert sums(viewer) == [("statement", "0.1255 EUR", "7.53 EUR")]

    # Ends that differ: the greatest counts, first a second longer, which the rounding hides, then a minute more.
    started = moment("2024-03-05T10:00:00+00:00")
    end(livetok, "a", started, 62 * 60 + 2, now=AFTER)
    assert sums(viewer)[1:] == [("correction", "0.1255 EUR", "0.00 EUR")]
    close(closer, APRIL, moment("2024-05-02T12:00:00+00:00"))
    end(livetok, "a", started, 63 * 60 + 2, now=JUNE)
    assert sums(viewer)[1:] == [("correction", "0.1255 EUR", "0.00 EUR"), ("correction", "0.1255 EUR", "0.13 EUR")]
    close(closer, APRIL.next, JUNE)

    stored = [Decimal(line.sum) for line in StatementLine.objects.filter(of_month=MARCH.first_day)]
    assert sum(stored) == price_of(61 * 60 + 2, Decimal("0.1255"), "EUR") == Decimal("7.66")
    with time_machine.travel(JUNE + timedelta(days=1), tick=False):
        answer = viewer.get("/reports/statements/?month=2024-03&format=csv")
    lines = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert [(line["Price per minute over"], line["Currency"], line["Sum"]) for line in lines] == [
        ("0.1255", "EUR", "7.53"), ("0.1255", "EUR", "0.00"), ("0.1255", "EUR", "0.13"),
    ]  # fmt: skip
    figures = {figure.label: figure.value for figure in show(viewer).context["figures"]}
    assert figures["Sum"] == "7.53 EUR"


def test_a_month_closed_before_there_were_prices_stays_without_one(over, livetok, viewer, closer):
    close(closer)
    # As the upgrade leaves it.
    StatementLine.objects.update(price_per_minute_over=None, currency="", sum=None)
    end(livetok, "a", moment("2024-03-05T10:00:00+00:00"), 70 * 60, now=AFTER)

    assert sums(viewer) == [("statement", "", "–"), ("correction", "", "–")]
    close(closer, APRIL, JUNE)
    assert StatementMonth.objects.count() == 2
    assert "Sum" not in {figure.label for figure in show(viewer).context["figures"]}


def test_a_customers_statement_is_the_line_of_the_list_with_its_days(livetok, viewer, closer):
    customer = customer_of(
        limit("call_minutes", 2, "month", hard=False), limit("sessions", 9), rounding=60, zone="America/Los_Angeles"
    )
    set_price("0.10")
    # By its own clock, which is set forward on 10 March, the first two are of the 9th.
    for name, at in (("a", "09T08:00"), ("b", "10T07:59:59"), ("c", "10T08:00"), ("d", "11T06:59:59")):
        call(livetok, name, moment(f"2024-03-{at}+00:00"), 90, kind="telephony")
    call(livetok, "chat", moment("2024-04-01T06:59:59+00:00"), 30, kind="chat")
    path = f"statements/{customer.pk}/2024-03/"
    page = report_page(viewer, path, AFTER)

    assert [(str(line.day), line.sessions, line.minutes, line.call_minutes) for line in page.context["days"]] == [
        ("2024-03-09", 2, "4.00", "4.00"),
        ("2024-03-10", 2, "4.00", "4.00"),
        ("2024-03-31", 1, "1.00", "0.00"),
    ]
    (row,) = page.context["rows"]
    assert row == show(viewer).context["rows"][0]["row"]
    assert (row.sum_words, row.over_words, row.minutes) == ("0.60 EUR", "6.00", "9.00")
    text = text_of(page)
    for told in ("America/Los_Angeles", "Ada", "Premium", "9 sessions a day", "0.60 EUR", "Ended, not closed"):
        assert told in text

    close(closer)
    Tier.objects.update(rounding_seconds=1)
    end(livetok, "a", moment("2024-03-09T08:00:00+00:00"), 150, now=AFTER)
    close(closer, APRIL, JUNE)
    page = report_page(viewer, path, JUNE)
    assert (
        [(line["row"].kind, line["row"].sum_words) for line in show(viewer).context["rows"]]
        == [(row.kind, row.sum_words) for row in page.context["rows"]]
        == [("statement", "0.60 EUR"), ("correction", "0.10 EUR")]
    )
    assert sum(day.counted.total.billed_seconds for day in page.context["days"]) == 600
    # What is billed with April is all that it has.
    later = report_page(viewer, f"statements/{customer.pk}/2024-04/", JUNE)
    assert [(row.kind, row.sum_words) for row in later.context["rows"]] == [("correction", "0.10 EUR")]

    file = report_page(viewer, f"{path}?format=csv", JUNE)
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode("utf-8-sig"))))
    assert [(row["Line"], row["Day"], row["Minutes"], row["Sum"]) for row in rows] == [
        ("statement", "", "9.0", "0.60"), ("correction", "", "1.0", "0.10"),
        ("day", "2024-03-09", "5.0", ""), ("day", "2024-03-10", "4.0", ""), ("day", "2024-03-31", "1.0", ""),
    ]  # fmt: skip
    for missing in (
        "statements/999/2024-03/",
        f"statements/{customer.pk}/2024-13/",
        f"statements/{customer.pk}/march/",
    ):
        assert viewer.get(f"/reports/{missing}").status_code == 404


def test_the_api_takes_a_price_with_its_currency(db):
    api = Api("manage")
    made = api.put("/api/v1/tiers/a/", {"name": "A", "price_per_minute_over": "0.15", "currency": "eur"}, status=201)
    assert (made["price_per_minute_over"], made["currency"]) == ("0.1500", "EUR")
    histories = Tier.history.count()
    assert api.put("/api/v1/tiers/a/", made) == made
    assert api.patch("/api/v1/tiers/a/", {"price_per_minute_over": 0.15}) == made
    assert Tier.history.count() == histories
    freed = api.patch("/api/v1/tiers/a/", {"price_per_minute_over": None, "currency": ""})
    assert (freed["price_per_minute_over"], freed["currency"]) == (None, "")


@pytest.mark.parametrize(
    ("price", "currency", "place", "words"),
    [
        ("-1", "EUR", "price_per_minute_over", "greater than or equal to 0"),
        ("0.12345", "EUR", "price_per_minute_over", "no more than 4 decimal places"),
        ("100000", "EUR", "price_per_minute_over", "no more than 5 digits"),
        ("a", "EUR", "price_per_minute_over", "0.15"),
        ("0.15", "EUX", "currency", "no currency"),
        ("0.15", "", "currency", "Give the price's currency too"),
        (None, "EUR", "price_per_minute_over", "Give a price in this currency too"),
    ],
)
def test_a_wrong_price_is_refused_by_field_in_the_api_and_the_admin(db, price, currency, place, words):
    refused = Api("manage").put(
        "/api/v1/tiers/a/", {"name": "A", "price_per_minute_over": price, "currency": currency}, status=400
    )
    assert list(refused) == [place]
    assert words in refused[place][0]

    editor = staff("administrators")
    form = form_of(editor, "/admin/customers/tier/add/") | {"name": "A", "slug": "a"}
    answer = editor.post(
        "/admin/customers/tier/add/", form | {"price_per_minute_over": price or "", "currency": currency}
    )
    errors = answer.context["adminform"].form.errors
    assert list(errors) == [place]
    assert words in errors[place][0] or price == "a"
    assert not Tier.objects.filter(slug="a").exists()
