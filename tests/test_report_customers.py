"""Customers against their limits: groups, days at the limit, the top ones, candidates, unknown callers, and one."""

import csv
import io
import random
import re
from collections import Counter, defaultdict
from datetime import date, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.limits import Metric, Period
from customers.models import Customer, LimitOverride, TierLimit
from customers.search.keeping import NewCallers
from sessions_app.models import DailyUsage, Session
from sessions_app.periods import first_of_earlier, local_day, span_of, starts_at
from sessions_app.reports import customer_order, customers, limit_figures
from sessions_app.reports.customers import DAYS_AT_LIMIT
from sessions_app.reports.frame import export
from sessions_app.usage import shares
from sessions_app.usage.counting import contribution
from sessions_app.usage.often import OFTEN, often_filled
from sessions_app.usage.own_days import count_on_own_days, on_own_days
from sessions_app.usage.shares import GROUPS, full_days, group_sizes, members, short_of_minutes
from sessions_app.usage.standing import standings, with_limits
from tests.builders import NUMBER, limit, make_customer, make_override, make_tier, moment
from tests.staff import report_page, text_of

# Half an hour before April in UTC: it is April in Madrid and Auckland, and March in Los Angeles.
NOW = moment("2024-03-31T23:30:00+00:00")
UTC = ZoneInfo("UTC")
ZONES = ["", "Europe/Madrid", "Pacific/Auckland", "America/Los_Angeles"]
CUSTOMERS_STATEMENTS = 32
CUSTOMER_STATEMENTS = 29


def show(client, path, now=NOW):
    return report_page(client, path, now)


def rows_of(response):
    return list(csv.DictReader(io.StringIO(response.getvalue().decode("utf-8-sig"))))


def call(livetok, number, session_id, started_at, seconds=None, **changes):
    """A session of a number, ended where it has a duration."""
    caller = {"sessionId": session_id, "phoneNumber": number}
    with time_machine.travel(started_at, tick=False):
        answer = livetok.begin(**caller, timestamp=started_at.isoformat(), **changes)
        if seconds is not None:
            ended_at = started_at + timedelta(seconds=seconds)
            livetok.end(**caller, timestamp=ended_at.isoformat(), duration=seconds)
    return answer


@pytest.fixture
def traffic(livetok):
    """Eight customers of three tiers and four zones with two weeks of calls, some open, some corrected."""
    dice = random.Random(7)
    tiers = [
        make_tier(
            "small",
            limit("call_minutes", 30),
            limit("sessions", 3, channel="web"),
            limit("sessions", 0, "month", hard=False),
        ),
        make_tier(
            "large", limit("call_minutes", 90), limit("call_minutes", 400, "month", agent="1"), call_hold_minutes=7
        ),
        make_tier("free", limit("call_minutes", 10, hard=False)),
    ]
    customers = []
    for index in range(8):
        number = f"+1555000{index:04}"
        customers.append(make_customer(tiers[index % 3], number, name=f"C{index}", time_zone=ZONES[index % 4]))
    make_override(customers[0], limit("call_minutes", None))
    make_override(customers[3], limit("call_minutes", 20), valid_until=NOW + timedelta(days=1), note="a trial")
    make_override(customers[4], limit("call_minutes", 5), valid_until=NOW)
    make_override(customers[6], limit("call_minutes", 0))
    make_override(customers[5], limit("call_minutes", 50, "month"))
    for index, _ in enumerate(customers):
        for count in range(7):
            start = NOW - timedelta(minutes=dice.randrange(60 * 24 * 14))
            seconds = dice.choice([20, 300, 1500, 4000])
            kind = dice.choice(["web", "telephony", "chat"])
            call(livetok, f"+1555000{index:04}", f"{index}-{count}", start, seconds, kind=kind)
            if count % 5 == 0:
                late = (start + timedelta(seconds=seconds + 60)).isoformat()
                caller = {"sessionId": f"{index}-{count}", "phoneNumber": f"+1555000{index:04}"}
                livetok.end(**caller, timestamp=late, duration=seconds + 60)
                livetok.end(**caller, timestamp=late, duration=seconds + 60)
    for index in (1, 2, 7):
        call(livetok, f"+1555000{index:04}", f"open-{index}", NOW - timedelta(minutes=50), kind="telephony")
    return customers


def test_groups_hold_those_whose_standing_says_so(traffic):
    everybody = list(with_limits(Customer.objects.all(), NOW))
    stand = standings(everybody, NOW)
    expected = {
        (customer.pk, period): fullest.share
        for customer in everybody
        for period in (Period.DAY, Period.MONTH)
        if (fullest := stand[customer.pk].fullest(period)) is not None
    }

    assert len({round(share, 2) for share in expected.values()}) > 4, "the traffic says little"
    sizes = Counter((period, group_of(share)) for (_, period), share in expected.items())
    assert group_sizes(NOW) == sizes
    for period in (Period.DAY, Period.MONTH):
        for group in GROUPS:
            wanted = {pk for (pk, of), share in expected.items() if of is period and group_of(share) == group.slug}
            assert members(period, group, NOW) == wanted


def group_of(share):
    return next(group.slug for group in GROUPS if group.low <= share < group.high)


@pytest.mark.parametrize("minutes", [1, 5, 60, 1000])
@pytest.mark.parametrize("most_named", [0, 1000])
def test_limits_with_few_minutes_left_are_those_of_each_ones_standing(traffic, minutes, most_named, monkeypatch):
    monkeypatch.setattr(shares, "MOST_NAMED", most_named)
    asked = [customer.pk for customer in traffic[1:]]
    stand = standings(list(with_limits(Customer.objects.filter(pk__in=asked), NOW)), NOW)
    expected = {
        (pk, use.limit.channel or "", use.limit.agent or "")
        for pk, standing in stand.items()
        for use in standing.uses
        if use.limit.hard and use.limit.metric is Metric.CALL_MINUTES and use.left is not None and use.left < minutes
    }

    assert short_of_minutes(NOW, minutes, asked) == expected
    assert expected


def test_days_at_the_limit_equal_a_slow_recount(traffic):
    expected = {}
    for customer in with_limits(Customer.objects.all(), NOW):
        standing = standings([customer], NOW)[customer.pk]
        today = local_day(NOW, standing.zone)
        days = {}
        for session in Session.objects.filter(customer=customer):
            for key, amount in contribution(session).items():
                for bound in standing.limits:
                    applies = bound.applies_to(key.channel, key.agent) and bound.period is Period.DAY and bound.hard
                    if applies and bound.amount and today - timedelta(days=29) <= key.day <= today:
                        used = amount.sessions if bound.metric is Metric.SESSIONS else amount.call_seconds / 60
                        days[key.day, bound] = days.get((key.day, bound), 0) + used / bound.amount
        full = {day for (day, _), share in days.items() if share >= 0.8}
        if len(full) >= 2:
            expected[customer.pk] = len(full)

    assert full_days(NOW, days=30, share=0.8, at_least=2) == expected
    assert expected


def test_one_customers_page_says_as_many_days_at_a_limit_as_everybodys_statement(traffic, viewer):
    make_override(traffic[6], limit("call_minutes", 1, channel="telephony"))
    make_override(traffic[1], limit("sessions", 1, agent="1"))
    make_override(traffic[3], limit("sessions", 1, channel="web"))
    expected = full_days(NOW, days=DAYS_AT_LIMIT, share=1)
    found = {}
    for customer in traffic:
        response = show(viewer, f"customers/{customer.pk}/")
        [figure] = [figure for figure in response.context["figures"] if figure.label.startswith("Days at a limit")]
        found[customer.pk] = int(figure.value)

    assert {pk: days for pk, days in found.items() if days} == expected
    assert len(set(expected.values())) > 2, "the limits say little"


@pytest.mark.parametrize("days", [1, 2, 9])
def test_sessions_are_counted_on_their_own_days_as_they_are_found(traffic, days):
    counted = []
    for number in range(16):
        first = NOW.date() - timedelta(days=number)
        after = first + timedelta(days=days)
        counted.append(count_on_own_days(Session.objects.all(), first, after))
        assert counted[-1] == on_own_days(Session.objects.all(), [(first, after)]).count()

    assert len(set(counted)) > 3, "the traffic says little"


def test_the_page_shows_customers_by_name_in_groups_and_as_a_file(traffic, viewer):
    response = show(viewer, "customers/")
    names = [line.customer.name for line in response.context["lines"]]
    assert names == sorted(names)
    assert len(names) == 8
    for line in response.context["groups"]:
        for period in ("day", "month"):
            filtered = show(viewer, f"customers/?period={period}&group={line.group.slug}")
            assert len(filtered.context["lines"]) == line.sizes[period]

    file = rows_of(show(viewer, "customers/?format=csv&tier=small"))
    shown = show(viewer, "customers/?tier=small").context["lines"]
    assert [row["Customer"] for row in file] == [line.customer.name for line in shown]
    assert file[0]["Used today (%)"] == str(shown[0].day.percent)


def test_nameless_customers_come_last_and_every_customer_is_on_one_page(viewer):
    tier = make_tier("basic")
    for index in range(60):
        make_customer(tier, f"+1555{index:07}", name="" if index < 30 else f"N{index // 2}")
    pages, address = [], "customers/"
    while True:
        page = show(viewer, address).context["page"]
        pages.append([customer.pk for customer in page.customers])
        if page.after is None:
            break
        address = f"customers/?after={page.after}"

    assert sorted(pk for shown in pages for pk in shown) == sorted(Customer.objects.values_list("pk", flat=True))
    assert [len(shown) for shown in pages] == [50, 10]
    assert Customer.objects.get(pk=pages[0][0]).name
    assert not Customer.objects.get(pk=pages[1][-1]).name
    back = show(viewer, f"customers/?before={pages[1][0]}").context["page"]
    assert [customer.pk for customer in back.customers] == pages[0]
    assert "lines" not in show(viewer, "customers/?after=x").context


@pytest.mark.parametrize("sort", ["name", "-name", "tier", "-tier", "status", "-status"])
def test_customers_are_sorted_by_a_column_on_all_pages_and_in_the_file(viewer, monkeypatch, sort):
    monkeypatch.setattr(customer_order, "PAGE_SIZE", 3)
    monkeypatch.setattr(customers, "EXPORTED_AT_ONCE", 4)
    tiers = [make_tier(slug) for slug in ("gold", "basic", "free")]
    for index in range(11):
        made = make_customer(tiers[index % 3], f"+1555{index:07}", name="" if index % 4 == 0 else f"N{index % 5}")
        Customer.objects.filter(pk=made.pk).update(status=Customer.Status.values[index % 2])
    keys = {
        "tier": lambda customer: customer.tier.name,
        "status": lambda customer: customer.status,
    }
    down, column = sort.startswith("-"), sort.removeprefix("-")
    expected = sorted(Customer.objects.all(), key=lambda customer: (not customer.name, customer.name, customer.pk))
    if sort == "-name":
        expected.sort(key=lambda customer: customer.name, reverse=True)
    elif column != "name":
        expected.sort(key=keys[column], reverse=down)

    response = show(viewer, f"customers/?sort={sort}")
    pages = [response]
    while response.context["page"].after:
        response = show(viewer, f"customers/?sort={sort}&after={response.context['page'].after}")
        pages.append(response)
    forth = [[line.customer for line in page.context["lines"]] for page in pages]
    back = show(viewer, f"customers/?sort={sort}&before={pages[2].context['page'].before}")

    assert [customer for shown in forth for customer in shown] == expected
    assert [line.customer for line in back.context["lines"]] == forth[1]
    with CaptureQueriesContext(connection) as queries:
        file = rows_of(show(viewer, f"customers/?sort={sort}&format=csv"))
    assert [row["Customer"] for row in file] == [str(customer) for customer in expected]
    # All are sorted once, however many rows the file has. The rows are read by their ids.
    parts = [query["sql"].partition(" ORDER BY ") for query in queries]
    assert (
        len([order for what, _, order in parts if '"customers_customer"."name"' in order and " IN (" not in what]) == 1
    )
    html = pages[1].content.decode()
    assert f'aria-sort="{"descending" if down else "ascending"}"><a href="?sort={"" if down else "-"}{column}#' in html
    assert f"?sort={sort}&amp;after={pages[1].context['page'].after}#list" in html
    assert f'?sort={sort}&amp;period=month&amp;group=100#list">Only at their limit this month' in text_free(html)


def text_free(html):
    """With each link's own parameters alone: those that the page was asked with stand before them."""
    return re.sub(r"&amp;after=\d+", "", html)


def test_an_order_that_there_is_not_is_told(viewer):
    response = show(viewer, "customers/?sort=used")

    assert "Nothing is sorted by “used”. Choose one of name, tier, status" in text_of(response)


def test_with_many_customers_the_groups_come_after_the_page(viewer, monkeypatch):
    monkeypatch.setattr(customers, "MOST_SUMMED_AT_ONCE", 1)
    tier = make_tier("basic", limit("call_minutes", 10))
    for index in range(2):
        make_customer(tier, f"+1555{index:07}", name=f"N{index}")

    late = show(viewer, "customers/")
    assert 'data-late="/reports/customers/?part=groups"' in late.content.decode()
    assert "0–50 %" not in text_of(late).partition("customers by name")[0]
    part = show(viewer, "customers/?part=groups")
    assert "<html" not in part.content.decode()
    assert [line.sizes["day"] for line in part.context["groups"]] == [2, 0, 0, 0]
    assert [line.sizes["day"] for line in show(viewer, "customers/?groups=on").context["groups"]] == [2, 0, 0, 0]


@pytest.mark.parametrize("query", ["C3", "+1 555 000 0003", "crm-3"])
def test_customers_are_found(traffic, viewer, query):
    Customer.objects.filter(name="C3").update(external_id="crm-3")
    NewCallers().run()

    response = show(viewer, f"customers/?q={query.replace('+', '%2B')}")

    assert [line.customer.name for line in response.context["lines"]] == ["C3"]


def test_of_many_customers_home_counts_every_five_minutes_and_says_when(viewer, monkeypatch):
    def shown(now):
        return text_of(show(viewer, "customers/limits/", now)).replace("All that are stored, of any status.", "=")

    make_customer(make_tier("gold"))
    assert "Counted at" not in shown(NOW)
    monkeypatch.setattr(limit_figures, "MOST_SUMMED_AT_ONCE", 0)
    monkeypatch.setattr(limit_figures, "_kept", None)
    assert "= 1 " in shown(NOW)
    make_customer(make_tier("silver"), "+15550002222")
    later = shown(NOW + timedelta(minutes=4))
    assert "= 1 " in later
    assert "Counted at 23:30" in later
    assert "= 2 " in shown(NOW + timedelta(minutes=5))


def test_more_rows_than_a_spreadsheet_takes_are_offered_as_csv(viewer, monkeypatch):
    monkeypatch.setattr(export, "MOST_XLSX_ROWS", 1)
    tier = make_tier("basic")
    for index in range(2):
        make_customer(tier, f"+1555{index:07}", name=f"N{index}")

    response = viewer.get("/reports/customers/?tier=basic&format=xlsx")

    assert response.status_code == 400
    assert 'href="?tier=basic&amp;format=csv"' in response.content.decode()


def test_top_customers_have_their_share_of_all_minutes(traffic, viewer):
    response = show(viewer, "customers/top/?period=30d")
    lines = response.context["lines"]
    first, last = date(2024, 3, 2), date(2024, 3, 31)
    expected = Counter()
    for session in Session.objects.all():
        for key, amount in contribution(session).items():
            if first <= key.day <= last:
                expected[key.customer_id] += amount.seconds

    assert [(line.customer.pk, line.seconds) for line in lines] == sorted(
        ((pk, seconds) for pk, seconds in expected.items() if seconds), key=lambda pair: (-pair[1], pair[0])
    )
    assert lines[-1].cumulative == "100.0 %"
    assert rows_of(show(viewer, "customers/top/?period=30d&format=csv"))[0]["Customer"] == lines[0].customer.name


def test_candidates_equal_a_slow_recount(traffic):
    make_override(traffic[1], limit("sessions", 2, "week", agent="1"))
    make_override(traffic[6], limit("call_minutes", 3, "month", channel="telephony"))
    make_override(traffic[3], limit("call_minutes", 9, "week"))
    TierLimit.objects.filter(metric="call_minutes", period="day").update(amount=4)
    expected = {}
    for customer in with_limits(Customer.objects.all(), NOW):
        standing = standings([customer], NOW)[customer.pk]
        filled = defaultdict(Counter)
        for session in Session.objects.filter(customer=customer):
            for key, amount in contribution(session).items():
                for bound in standing.limits:
                    if bound.hard and bound.amount and bound.period and bound.applies_to(key.channel, key.agent):
                        first = span_of(bound.period, starts_at(key.day, UTC), UTC).first_day
                        newest = standing.spans[bound.period].first_day
                        if first >= first_of_earlier(bound.period, newest, OFTEN[bound.period].periods - 1):
                            unit, per = (
                                (amount.sessions, 1) if bound.metric is Metric.SESSIONS else (amount.call_seconds, 60)
                            )
                            filled[bound][first] += Fraction(unit, per * bound.amount)
        for bound, shares_of in filled.items():
            close, reached = (
                sorted(first for first, share in shares_of.items() if share >= Fraction(percent, 100))
                for percent in (80, 100)
            )
            often = OFTEN[bound.period]
            if len(close if often.percent == 80 else reached) >= often.at_least:
                expected[customer.pk, bound.key] = close, reached

    found = {(one.customer_id, one.limit.key): (one.close, one.reached) for one in often_filled(NOW)}

    assert found == expected
    assert {key[1] for _, key in found} == {Period.DAY, Period.WEEK, Period.MONTH}, "the traffic says little"


def test_who_used_much_before_a_limits_periods_is_not_looked_at_day_by_day(db):
    customer = make_customer(make_tier("premium", limit("call_minutes", 10), limit("call_minutes", 60, "week")))
    rows = [
        DailyUsage(customer=customer, day=(NOW - timedelta(days=30 + ago)).date(), call_seconds=3600)
        for ago in range(5)
    ]
    DailyUsage.objects.bulk_create(rows)

    with CaptureQueriesContext(connection) as queries:
        assert often_filled(NOW) == []
    assert not [query["sql"] for query in queries if '"customers_customer"."id" IN (' in query["sql"]]


def test_candidates_are_at_a_limit_of_the_day_week_or_month_again_and_again(livetok, viewer):
    tier = make_tier("small", limit("call_minutes", 10))
    often = make_customer(tier, "+15550000001", name="Often")
    make_customer(tier, "+15550000002", name="Seldom")
    monthly = make_customer(make_tier("monthly", limit("sessions", 2, "month")), "+15550000003", name="Monthly")
    for days in range(5):
        call(livetok, "+15550000001", f"o{days}", NOW - timedelta(days=days + 9, hours=3), 480)
        call(livetok, "+15550000002", f"s{days}", NOW - timedelta(days=days + 9, hours=3), 480 - days)
        call(livetok, "+15550000003", f"m{days}", NOW - timedelta(days=days + 1, hours=3), 60 if days < 2 else None)

    response = show(viewer, "customers/candidates/")

    lines = response.context["lines"]
    assert [(line.line.customer, len(line.filled.reached), len(line.filled.close), line.denied) for line in lines] == [
        (monthly, 1, 1, 3),
        (often, 0, 5, 0),
    ]
    behind = [show(viewer, address) for address in (lines[0].reached_address, lines[0].denied_address)]
    assert [len(response.context["lines"]) for response in behind] == [2, 3]
    assert "In the 1 month of the last 2 at the limit" in text_of(behind[0])
    assert show(viewer, "customers/").context["figures"][-1].value == "2"
    file = rows_of(show(viewer, "customers/candidates/?format=csv"))
    assert [(row["Customer"], row["Limit"], row["Denied"]) for row in file] == [
        ("Monthly", "2 sessions a month", "3"),
        ("Often", "10 call minutes a day", "0"),
    ]
    assert "No candidates" in text_of(show(viewer, "customers/candidates/", NOW + timedelta(days=90)))


def test_unknown_callers_are_those_without_a_customer(livetok, viewer):
    call(livetok, None, "nobody", NOW - timedelta(hours=2), 60)
    call(livetok, "+15550000009", "served", NOW - timedelta(hours=2), 60)
    make_customer(make_tier(), "+15550000001")
    call(livetok, "+15550000001", "known", NOW - timedelta(hours=2), 60)

    response = show(viewer, "customers/unknown/")

    figures = {figure.label: figure.value for figure in response.context["figures"]}
    assert figures["Sessions of unknown callers"] == figures["Without number or id"] == "1"
    assert figures["New customers by first contact"] == "1"
    assert "Neither number nor id" in text_of(response)


def test_one_customer_sees_limits_origins_resets_days_sessions_and_changes(traffic, viewer):
    customer = Customer.objects.get(name="C3")
    response = show(viewer, f"customers/{customer.pk}/")
    text = text_of(response)

    assert "America/Los_Angeles" in text
    assert "where it is Sun 31 Mar 2024, 16:30" in text
    assert "Mon 1 Apr 2024, 00:00" in text
    assert "Override until" in text
    assert "a trial" in text
    assert "instead of 30 from tier Small" in text
    by_name = {line.name: line for line in response.context["limits"]}
    assert by_name["Call minutes a day"].resets_at.isoformat() == "2024-04-01T00:00:00-07:00"
    days = {line.day: (line.sessions, line.seconds) for line in response.context["days"]}
    expected = dict.fromkeys(days, (0, 0))
    for row in DailyUsage.objects.filter(customer=customer, day__in=days):
        sessions, seconds = expected[row.day]
        expected[row.day] = sessions + row.sessions, seconds + row.seconds
    assert days == expected
    assert max(days) == date(2024, 3, 31)
    assert len(response.context["lines"]) == 7
    assert "Limit override" in text
    file = rows_of(show(viewer, f"customers/{customer.pk}/?format=csv"))
    assert sum(int(row["Sessions"]) for row in file) == sum(sessions for sessions, _ in days.values())
    assert viewer.get("/reports/customers/987654/").status_code == 404


def test_statements_stay_few_however_many_customers(viewer):
    tier = make_tier("basic", limit("call_minutes", 10))
    customer = [make_customer(tier, f"+1555{index:07}", name=f"N{index}") for index in range(20)][3]
    LimitOverride.objects.create(customer=customer, metric="call_minutes", period="week", amount=9)
    with CaptureQueriesContext(connection) as page:
        show(viewer, "customers/")
    with CaptureQueriesContext(connection) as one:
        show(viewer, f"customers/{customer.pk}/")

    assert len(page.captured_queries) <= CUSTOMERS_STATEMENTS
    assert len(one.captured_queries) <= CUSTOMER_STATEMENTS


@pytest.mark.only("sqlite")
def test_of_a_busy_customers_sessions_denied_ones_alone_are_read_to_count_them(viewer):
    customer = make_customer()
    with CaptureQueriesContext(connection) as page:
        show(viewer, f"customers/{customer.pk}/")

    [statement] = [
        query["sql"]
        for query in page
        if "COUNT" in query["sql"] and 'NOT "sessions_app_session"."allowed"' in query["sql"]
    ]
    with connection.cursor() as cursor:
        plan = cursor.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()

    assert "session_denied_by_customer" in str(plan)


def test_overrides_say_who_made_them_in_one_statement(viewer):
    customer = make_customer(make_tier("basic", limit("call_minutes", 10)))
    for amount, period in enumerate(("day", "week", "month")):
        author = User.objects.create_user(f"author-{amount}")
        make_override(customer, limit("call_minutes", amount, period), author=author)

    with CaptureQueriesContext(connection) as page:
        response = show(viewer, f"customers/{customer.pk}/")

    assert all(f"by author-{amount}" in text_of(response) for amount in range(3))
    assert len([query for query in page if 'FROM "auth_user"' in query["sql"]]) <= 3


def test_a_number_is_shown_as_sessions_show_it_however_it_was_written(viewer):
    customer = make_customer(name="Grace")
    customer.numbers.update(number="+1 (234) 567-890")
    for path in ("customers/", f"customers/{customer.pk}/"):
        text = show(viewer, path).content.decode()
        assert (NUMBER in text, "(234)" in text) == (True, False), path
