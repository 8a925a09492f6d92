"""Statements: what a month comes to for each customer, closing it, and the corrections that follow."""

import csv
import io
import json
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import hypothesis
import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext
from hypothesis import example, given
from hypothesis import strategies as st

from customers.editing import claim_number, lock_customer
from customers.models import Customer, SearchKey, Tier, TierLimit
from customers.search.keeping import NewCallers
from sessions_app.billing.closing import MonthIsClosed, MonthNotOver, closable_from, close_month
from sessions_app.billing.corrections import corrections_of, customers_after
from sessions_app.billing.statements import Month, count, customers_of, roundings_now
from sessions_app.models import PastMonthWrite, Session, StatementLine, StatementMonth
from sessions_app.periods import local_day, starts_at
from sessions_app.recording.retention import delete_writes_nobody_billed
from sessions_app.spool.files import Spool, SpooledRequest
from sessions_app.webhook.feeding import Feeder
from tests.builders import end_body, limit, make_customer, make_livetok, make_override, make_tier, moment
from tests.examples import examples
from tests.staff import report_page, staff, text_of

MARCH = Month(date(2024, 3, 1))
BEFORE = moment("2024-01-01T00:00:00+00:00")
AFTER = moment("2024-04-02T12:00:00+00:00")
JUNE = moment("2024-06-02T12:00:00+00:00")
LONG_AFTER = moment("2024-07-05T12:00:00+00:00")
ZONES = ["", "Europe/Madrid", "Pacific/Auckland", "America/Los_Angeles"]
STATEMENTS_STATEMENTS = 28


@pytest.fixture
def closer(db):
    return User.objects.create_superuser("closer")


def show(client, query="?month=2024-03", now=AFTER):
    return report_page(client, f"statements/{query}", now)


def shown(client, query="?month=2024-03"):
    return [
        (
            line["row"].name,
            line["row"].kind,
            line["row"].sessions_words,
            *(words for _, words, _ in line["minutes"]),
            *line["row"].cells,
        )
        for line in show(client, query).context["rows"]
    ]


def rows_of(response):
    return list(csv.DictReader(io.StringIO(response.getvalue().decode("utf-8-sig"))))


def call(livetok, session_id, started_at, seconds=None, number="+15550000001", now=None, **changes):
    """A begin and its end, each received when it says that it was, or `now`."""
    caller = {"sessionId": session_id, "phoneNumber": number}
    with time_machine.travel(now or started_at, tick=False):
        livetok.begin(**caller, timestamp=started_at.isoformat(), **changes)
    if seconds is not None:
        end(livetok, session_id, started_at, seconds, number, now)


def end(livetok, session_id, started_at, seconds, number="+15550000001", now=None, **changes):
    ended_at = started_at + timedelta(seconds=seconds)
    with time_machine.travel(now or ended_at, tick=False):
        livetok.end(
            sessionId=session_id, phoneNumber=number, timestamp=ended_at.isoformat(), duration=seconds, **changes
        )


def customer_of(*limits, rounding=60, zone="", name="Ada", number="+15550000001", slug="premium"):
    """A customer who has been there, with the limits, since January."""
    with time_machine.travel(BEFORE, tick=False):
        tier = Tier.objects.filter(slug=slug).first() or make_tier(slug, *limits, rounding_seconds=rounding)
        return make_customer(tier, number, name=name, time_zone=zone)


def close(user, month=MARCH, now=AFTER):
    with time_machine.travel(now, tick=False):
        return close_month(month, user)


@pytest.mark.parametrize(("rounding", "billed"), [(1, "3.02"), (6, "3.10"), (60, "4.00")])
def test_each_session_is_rounded_up_by_its_tier_and_then_added(livetok, viewer, rounding, billed):
    customer_of(limit("call_minutes", 2, "month", hard=False), rounding=rounding)
    call(livetok, "a", moment("2024-03-05T10:00:00+00:00"), 61, kind="telephony")
    call(livetok, "b", moment("2024-03-06T10:00:00+00:00"), 120, kind="telephony")
    call(livetok, "c", moment("2024-03-07T10:00:00+00:00"), 0, kind="telephony")

    over = f"{float(billed) - 2:.2f}"
    assert shown(viewer) == [("Ada", "statement", "3", billed, billed, "2", over)]


def test_channels_stand_apart_and_only_some_count_toward_what_is_included(livetok, viewer):
    customer_of(limit("call_minutes", 1, "month", hard=False))
    call(livetok, "a", moment("2024-03-05T10:00:00+00:00"), 90, kind="telephony")
    call(livetok, "b", moment("2024-03-06T10:00:00+00:00"), 600, kind="chat")

    response = show(viewer)
    assert response.context["channels"] == ["chat", "telephony"]
    assert shown(viewer) == [("Ada", "statement", "2", "10.00", "2.00", "2.00", "1", "1.00")]


def test_the_month_is_the_customers_and_a_session_belongs_to_it_whole(livetok, viewer):
    customer_of(rounding=1, zone="America/Los_Angeles")
    call(livetok, "february", moment("2024-03-01T07:59:59+00:00"), 600)
    call(livetok, "first", moment("2024-03-01T08:00:00+00:00"), 60)
    call(livetok, "last", moment("2024-04-01T06:59:59+00:00"), 7200)
    call(livetok, "april", moment("2024-04-01T07:00:00+00:00"), 60)

    assert shown(viewer) == [("Ada", "statement", "2", "121.00", "121.00", "no limit", "–")]
    assert shown(viewer, "?month=2024-02") == [("Ada", "statement", "1", "10.00", "10.00", "no limit", "–")]


def test_included_is_what_was_in_force_on_the_months_last_instant(livetok, viewer):
    customer = customer_of(limit("call_minutes", 10, "month"), limit("call_minutes", 3, "month", channel="telephony"))
    call(livetok, "a", moment("2024-03-05T10:00:00+00:00"), 60)
    with time_machine.travel(moment("2024-03-31T23:59:00+00:00"), tick=False):
        TierLimit.objects.get(amount=10).delete()
        raised = TierLimit.objects.create(tier=customer.tier, metric="call_minutes", period="month", amount=20)
    with time_machine.travel(moment("2024-04-01T00:00:00+00:00"), tick=False):
        raised.amount = 40
        raised.save()
    assert shown(viewer)[0][-2] == "20"

    with time_machine.travel(moment("2024-03-20T00:00:00+00:00"), tick=False):
        override = make_override(customer, limit("call_minutes", 30, "month"), valid_until=moment("2024-04-01T00:00Z"))
        make_override(customer, limit("call_minutes", 5, "month"), valid_from=moment("2024-04-01T00:00Z"))
    assert shown(viewer)[0][-2] == "30"
    with time_machine.travel(moment("2024-04-01T08:00:00+00:00"), tick=False):
        override.delete()
        customer.tier = make_tier("later", limit("call_minutes", 99, "month"))
        customer.save()
    assert shown(viewer)[0][-2] == "30"


def test_an_override_without_an_amount_includes_everything(livetok, viewer):
    customer = customer_of(limit("call_minutes", 10, "month"))
    call(livetok, "a", moment("2024-03-05T10:00:00+00:00"), 60)
    with time_machine.travel(moment("2024-03-31T20:00:00+00:00"), tick=False):
        make_override(customer, limit("call_minutes", None, "month"))

    assert shown(viewer)[0][-2:] == ("no limit", "–")


def test_counts_equal_a_slow_recount_around_every_month_end(livetok):
    dice = random.Random(11)
    for index in range(8):
        slug, rounding = [("exact", 1), ("six", 6), ("minute", 60)][index % 3]
        customer_of(slug=slug, rounding=rounding, zone=ZONES[index % 4], name=f"C{index}", number=f"+1555000{index:04}")
    for number in range(90):
        # Around both ends of March, and the hours in which Europe and America move their clocks.
        near = dice.choice(["2024-03-01T00:00Z", "2024-03-31T23:59Z", "2024-03-31T01:00Z", "2024-03-10T10:00Z"])
        start = moment(near) + timedelta(minutes=dice.randrange(-900, 900))
        caller = f"+1555000{dice.randrange(8):04}"
        call(
            livetok, f"s{number}", start, dice.choice([None, 0, 59, 61, 3601]), caller, kind=dice.choice(["web", "sms"])
        )
        if number % 6 == 0:
            end(livetok, f"s{number}", start, 4000, caller)
            end(livetok, f"s{number}", start, 4000, caller)
    slow = {}
    for session in Session.objects.select_related("tier"):
        if (
            session.is_denied
            or local_day(session.started_at, ZoneInfo(session.time_zone)).replace(day=1) != MARCH.first_day
        ):
            continue
        step = session.tier.rounding_seconds
        billed = -(-session.counted_seconds // step) * step
        total = slow.setdefault(session.customer_id, [0, 0, 0, 0])
        for place, amount in enumerate(
            [1, session.counted_seconds, billed, billed if session.counts_toward_call_minutes else 0]
        ):
            total[place] += amount

    found = count(list(Customer.objects.values_list("pk", flat=True)), MARCH, roundings_now())

    assert {
        pk: [counted.total.sessions, counted.total.seconds, counted.total.billed_seconds, counted.billed_call_seconds]
        for pk, counted in found.items()
    } == slow
    assert set(customers_of(MARCH).values_list("pk", flat=True)) == set(slow)


def test_a_month_can_be_closed_once_it_is_over_for_every_customer(livetok, closer):
    customer_of(zone="America/Los_Angeles")
    over = moment("2024-04-01T07:00:00+00:00")

    assert closable_from(MARCH) == over
    with pytest.raises(MonthNotOver):
        close(closer, now=over - timedelta(seconds=1))
    assert not StatementMonth.objects.exists()
    close(closer, now=over)
    with pytest.raises(MonthIsClosed):
        close(closer)


def test_a_closed_statement_stays_and_corrections_stand_below_it(livetok, viewer, closer):
    customer = customer_of(limit("call_minutes", 2, "month", hard=False))
    start = moment("2024-03-05T10:00:00+00:00")
    call(livetok, "a", start, 61, kind="telephony")
    call(livetok, "open", moment("2024-03-31T23:50:00+00:00"), kind="telephony")
    close(closer)
    as_closed = ("Ada", "statement", "2", "2.00", "2.00", "2", "0.00")
    assert shown(viewer) == [as_closed]

    Tier.objects.update(rounding_seconds=1)
    TierLimit.objects.update(amount=500)
    Customer.objects.update(name="Grace")
    assert shown(viewer) == [as_closed]

    end(livetok, "open", moment("2024-03-31T23:50:00+00:00"), 30)
    assert shown(viewer) == [as_closed, ("Ada", "correction", "0", "1.00", "1.00", "", "1.00")]
    end(livetok, "open", moment("2024-03-31T23:50:00+00:00"), 30)
    call(livetok, "late", start, 59, kind="web")
    with time_machine.travel(AFTER, tick=False):
        livetok.end(sessionId="a", phoneNumber="+15550000001", timestamp=AFTER.isoformat(), duration=1)
    assert shown(viewer) == [
        ("Ada", "statement", "2", "2.00", "–", "2.00", "2", "0.00"),
        ("Ada", "correction", "1", "0.00", "1.00", "1.00", "", "1.00"),
    ]
    assert "500" not in text_of(show(viewer))
    file = rows_of(show(viewer, "?month=2024-03&format=csv"))
    assert [(row["Line"], row["Sessions"], row["Minutes over"]) for row in file] == [
        ("statement", "2", "0.0"),
        ("correction", "1", "1.0"),
    ]
    assert file[0]["Customer id"] == str(customer.pk)


def billed(client, month):
    """The lines of a month's file: whose sessions, billed with which month, and what."""
    columns = ("Month", "Billed with", "Line", "Sessions", "Minutes", "Call minutes", "Minutes over")
    return [tuple(row[name] for name in columns) for row in rows_of(show(client, f"?month={month}&format=csv", JUNE))]


def test_a_correction_is_billed_with_the_month_that_is_closed_next_and_stays(livetok, viewer, closer):
    customer_of(limit("call_minutes", 2, "month", hard=False))
    start = moment("2024-03-05T10:00:00+00:00")
    call(livetok, "a", start, 61, kind="telephony")
    call(livetok, "b", moment("2024-04-05T10:00:00+00:00"), 60, kind="telephony")
    close(closer)
    end(livetok, "a", start, 181)
    march = ("2024-03", "2024-03", "statement", "1", "2.0", "2.0", "0.0")
    assert billed(viewer, "2024-03") == [march, ("2024-03", "", "correction", "0", "2.0", "2.0", "2.0")]

    close(closer, MARCH.next, JUNE)
    in_april = ("2024-03", "2024-04", "correction", "0", "2.0", "2.0", "2.0")
    assert billed(viewer, "2024-03") == [march, in_april]
    assert billed(viewer, "2024-04") == [("2024-04", "2024-04", "statement", "1", "1.0", "1.0", "0.0"), in_april]
    page = text_of(show(viewer, "?month=2024-04", JUNE))
    assert "Correction of Mar 2024 Ada, billed with this month" in page
    assert "Correction Ada, billed with April 2024" in text_of(show(viewer, "?month=2024-03", JUNE))

    call(livetok, "late", start, 30, now=JUNE, kind="chat")
    Tier.objects.update(rounding_seconds=1)
    assert billed(viewer, "2024-03") == [march, in_april, ("2024-03", "", "correction", "1", "1.0", "0.0", "0.0")]
    assert billed(viewer, "2024-04")[1:] == [in_april]
    close(closer, MARCH.next.next, JUNE)
    assert billed(viewer, "2024-05") == [("2024-03", "2024-05", "correction", "1", "1.0", "0.0", "0.0")]
    assert [row[1] for row in billed(viewer, "2024-03")] == ["2024-03", "2024-04", "2024-05"]


def test_a_correction_leads_to_the_sessions_of_which_something_came_since(livetok, viewer, closer):
    customer_of()
    start = moment("2024-03-05T10:00:00+00:00")
    call(livetok, "a", start, 60)
    call(livetok, "b", start, 60)
    close(closer)
    with time_machine.travel(JUNE, tick=False):
        livetok.end(sessionId="b", phoneNumber="+15550000001", timestamp=JUNE.isoformat(), duration=90)

        row = show(viewer, now=JUNE).context["rows"][1]["row"]
        lines = viewer.get(row.changes_address).context["lines"]

    assert [line.session.session_id for line in lines] == ["b"]


def test_a_correction_leads_to_sessions_whose_end_waited_on_disk_while_the_month_was_closed(
    livetok, viewer, closer, settings, tmp_path
):
    settings.DATA_DIR = tmp_path
    customer_of()
    start = moment("2024-03-31T23:50:00+00:00")
    call(livetok, "a", start, 60)
    call(livetok, "b", start)
    body = json.dumps(end_body(sessionId="b", phoneNumber="+15550000001", timestamp="2024-04-01T00:00:00Z"))
    received_at = start + timedelta(minutes=10)
    Spool().append(SpooledRequest(received_at, "end", body.encode(), 200, "LiveTok", "10.0.0.1", 1, None, None))
    close(closer)
    with time_machine.travel(AFTER + timedelta(minutes=1), tick=False):
        assert Feeder().feed() == 1

    row = show(viewer, now=JUNE).context["rows"][1]["row"]
    assert row.kind == "correction"
    assert listed(viewer, row.changes_address) == ["b"]


START, CALLER = st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.integers(0, 40)), st.sampled_from([0, 0, 1])
WHICH, SECONDS = st.integers(0, 3), st.sampled_from([1, 60, 121, 300])
CHANGES = st.one_of(
    st.tuples(st.just("call"), START, CALLER, st.sampled_from([None, 59, 61, 200])),
    st.tuples(st.just("end"), WHICH, SECONDS),
    st.tuples(st.just("only_end"), START, st.sampled_from([0, 1, None]), SECONDS),
    st.tuples(st.just("begin"), WHICH, st.sampled_from([0, 0, None]), st.sampled_from([0, 0, 18, 900])),
    st.tuples(st.just("merge")),
    st.tuples(st.just("change_tier"), st.sampled_from(["premium", "exact"])),
)
CLOSINGS = st.tuples(st.just("close"), st.integers(0, 2))
MARCHS_FIRST = (0, 0)


@given(before=st.lists(CHANGES, min_size=2, max_size=8), after=st.lists(CHANGES | CLOSINGS, min_size=1, max_size=8))
@example(before=[("call", MARCHS_FIRST, 0, None)], after=[("end", 0, 60)])
@example(before=[("call", MARCHS_FIRST, 2, 61)], after=[("merge",)])
@example(before=[("only_end", MARCHS_FIRST, None, 61)], after=[("begin", 0, 0, 0)])
@example(before=[("only_end", MARCHS_FIRST, 0, 61)], after=[("begin", 0, None, 0)])
@example(before=[("only_end", MARCHS_FIRST, 0, 61)], after=[("begin", 0, 0, 900)])
@example(before=[("only_end", MARCHS_FIRST, 0, 61), ("change_tier", "exact")], after=[("begin", 0, 0, 0)])
@pytest.mark.property
@hypothesis.settings(max_examples=examples(0.1), suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_what_was_billed_stays_and_adds_up_to_a_recount_at_each_closing(livetok, closer, before, after):
    block = transaction.atomic()
    # As Django's own around a test: it holds many saves, each with a moment of its own.
    block._from_testcase = True
    with block:
        customer_of(limit("call_minutes", 2, "month", hard=False))
        customer_of(slug="exact", rounding=6, name="Bob", number="+15550000002")
        Billing(livetok, closer).play([*before, ("close", 0), *after, ("close", 1), ("close", 2)])
        transaction.set_rollback(True)


class Billing:
    """Sessions that come, end, end otherwise and change hands while months are closed, all of it long after them."""

    months = (MARCH, MARCH.next, MARCH.next.next)

    def __init__(self, livetok, closer):
        self.livetok, self.closer, self.sessions, self.now = livetok, closer, [], LONG_AFTER

    def play(self, steps):
        for name, *values in steps:
            self.now += timedelta(minutes=1)
            getattr(self, name)(*values)

    def call(self, start, caller, seconds):
        name, started_at, number = self.another(start, caller)
        kind = "chat" if seconds == 59 else "telephony"
        call(self.livetok, name, started_at, seconds, number, self.now, kind=kind)

    def end(self, which, seconds):
        if which < len(self.sessions):
            name, started_at, number = self.sessions[which]
            end(self.livetok, name, started_at, seconds, number or ..., self.now)

    def only_end(self, start, caller, seconds):
        """Its begin comes later or never. `caller` None: it does not say whose session it was."""
        name, started_at, number = self.another(start, caller)
        end(self.livetok, name, started_at, seconds, number or ..., self.now, kind="telephony")

    def begin(self, which, caller, hours):
        """A begin that comes late, or again, and may name another caller, none, or another time."""
        if which < len(self.sessions):
            name, started_at, _ = self.sessions[which]
            number = ... if caller is None else f"+1555000000{caller + 1}"
            started_at += timedelta(hours=hours)
            call(self.livetok, name, started_at, None, number, self.now, kind="telephony")

    def another(self, start, caller):
        month, hours = start
        started_at = starts_at(self.months[month].first_day, ZoneInfo("UTC")) + timedelta(hours=hours * 18)
        number = None if caller is None else f"+1555000000{caller + 1}"
        self.sessions.append((f"s{len(self.sessions)}", started_at, number))
        return self.sessions[-1]

    def merge(self):
        """Ada turns out to be whom the policy has served under another number."""
        ada = Customer.objects.get(name="Ada")
        if Customer.objects.filter(numbers__key="+15550000003").exclude(pk=ada.pk).exists():
            with time_machine.travel(self.now, tick=False):
                lock_customer(ada.pk)
                claim_number(ada, "+15550000003")

    def change_tier(self, slug):
        with time_machine.travel(self.now, tick=False):
            ada = Customer.objects.get(name="Ada")
            ada.tier = Tier.objects.get(slug=slug)
            ada.save()

    def close(self, month):
        before = {line.pk: model_to_dict(line) for line in StatementLine.objects.all()}
        if StatementMonth.objects.filter(pk=self.months[month].first_day).exists():
            return
        delete_writes_nobody_billed()
        assert close(self.closer, self.months[month], self.now).changes_are_listed
        after = {line.pk: model_to_dict(line) for line in StatementLine.objects.all()}
        assert before.items() <= after.items()
        for closed in StatementMonth.objects.all():
            assert self.billed(closed) == self.recounted(closed)
            assert corrections_of(closed, everybody(closed)) == {}

    def billed(self, closed):
        found = {}
        for line in StatementLine.objects.filter(of_month=closed.pk):
            sums = found.setdefault(line.customer_number, Counter())
            sums.update(seconds=line.seconds, billed=line.billed_seconds, calls=line.billed_call_seconds)
            sums.update({"sessions": line.sessions, "over": line.over_seconds or 0})
            for channel, amounts in line.channels.items():
                sums.update({(channel, place): amount for place, amount in enumerate(amounts)})
        return {number: +sums for number, sums in found.items() if +sums}

    def recounted(self, closed):
        roundings = {int(pk): step for pk, step in closed.roundings.items()}
        found = {}
        for number, counted in count(everybody(closed), Month(closed.pk), roundings).items():
            total, is_ada = counted.total, Customer.objects.get(pk=number).name == "Ada"
            sums = Counter(seconds=total.seconds, billed=total.billed_seconds, calls=counted.billed_call_seconds)
            sums["sessions"] = total.sessions
            sums["over"] = max(0, counted.billed_call_seconds - 120) if is_ada else 0
            for channel, use in counted.channels.items():
                amounts = (use.sessions, use.seconds, use.billed_seconds)
                sums.update({(channel, place): amount for place, amount in enumerate(amounts)})
            found[number] = +sums
        return found


def everybody(closed):
    """Every customer there is, or was when the month was closed."""
    numbers = StatementLine.objects.filter(of_month=closed.pk).values_list("customer_number", flat=True)
    return sorted({*Customer.objects.values_list("pk", flat=True), *numbers})


def test_a_closing_costs_the_same_however_many_months_were_closed_before(livetok, closer):
    customer_of()
    months = [MARCH]
    for _ in range(4):
        months.append(months[-1].next)
    for number, month in enumerate(months):
        call(livetok, f"s{number}", starts_at(month.first_day, ZoneInfo("UTC")) + timedelta(days=3), 60)
    costs = []
    for month in months:
        with CaptureQueriesContext(connection) as queries:
            close(closer, month, starts_at(month.next.next.first_day, ZoneInfo("UTC")))
        costs.append(len(queries))

    assert len(set(costs)) == 1, costs
    start = moment("2024-03-05T10:00:00+00:00")
    call(livetok, "late", start, 60, now=starts_at(months[-1].next.next.last_day, ZoneInfo("UTC")))
    closed = close(closer, months[-1].next, starts_at(months[-1].next.next.next.first_day, ZoneInfo("UTC")))
    assert [line.of_month for line in closed.lines.all()] == [MARCH.first_day]


@pytest.mark.parametrize(("closed_at", "again"), [(AFTER, True), (AFTER + timedelta(days=1), False)])
def test_a_month_closed_as_soon_as_it_was_over_is_recounted_whole_once_more(livetok, closer, closed_at, again):
    """Somebody may still have taken it for the running one, and listed no write."""
    customer_of()
    start = moment("2024-03-05T10:00:00+00:00")
    call(livetok, "a", start, 60)
    close(closer, MARCH, closed_at)
    end(livetok, "a", start, 120, now=closed_at + timedelta(hours=1))
    PastMonthWrite.objects.all().delete()

    assert [line.seconds for line in close(closer, MARCH.next, JUNE).lines.all()] == ([60] if again else [])
    end(livetok, "a", start, 240, now=JUNE + timedelta(hours=1))
    PastMonthWrite.objects.all().delete()
    assert not close(closer, MARCH.next.next, LONG_AFTER).lines.exists()


def test_what_changes_again_before_a_closing_that_was_cut_short_is_gone_on_with_is_billed_with_the_next(
    livetok, closer
):
    customer_of()
    start = moment("2024-03-05T10:00:00+00:00")
    call(livetok, "a", start, 60)
    close(closer, MARCH, LONG_AFTER)
    for seconds in (120, 240):
        end(livetok, "a", start, seconds, now=LONG_AFTER + timedelta(seconds=seconds))
        StatementMonth.objects.exclude(pk=MARCH.first_day).update(finished_at=None)
        in_april = close(closer, MARCH.next, LONG_AFTER)

    in_may = close(closer, MARCH.next.next, LONG_AFTER)
    assert [line.seconds for line in in_april.lines.all()] == [60]
    assert [line.seconds for line in in_may.lines.all()] == [120]


def test_what_changes_in_a_month_that_is_not_closed_is_kept_on_no_list(livetok, closer):
    customer_of()
    start = moment("2024-03-05T10:00:00+00:00")
    call(livetok, "april", start + timedelta(days=31), 60, now=LONG_AFTER)
    close(closer, MARCH, LONG_AFTER)
    call(livetok, "march", start, 60, now=LONG_AFTER)
    delete_writes_nobody_billed()

    assert {write.month for write in PastMonthWrite.objects.all()} == {MARCH.first_day}
    assert [line.of_month for line in close(closer, MARCH.next, LONG_AFTER).lines.order_by("of_month")] == [
        MARCH.first_day,
        MARCH.next.first_day,
    ]


def test_a_customer_who_first_shows_up_after_the_closing_is_all_correction(livetok, viewer, closer):
    customer_of(limit("call_minutes", 1, "month", hard=False))
    close(closer)
    call(livetok, "late", moment("2024-03-05T10:00:00+00:00"), 90)

    assert shown(viewer) == [("Ada", "correction", "1", "2.00", "2.00", "", "1.00")]


def test_merged_customers_move_their_minutes_by_two_corrections(livetok, viewer, closer):
    customer = customer_of(name="Known", slug="gold")
    call(livetok, "before", moment("2024-03-04T10:00:00+00:00"), 60)
    call(livetok, "met", moment("2024-03-05T10:00:00+00:00"), 120, "+15550000009")
    close(closer)
    first = StatementLine.objects.exclude(customer_name="Known").get()
    with time_machine.travel(AFTER + timedelta(hours=1), tick=False), transaction.atomic():
        lock_customer(customer.pk)
        claim_number(customer, "+15550000009")
    assert not Customer.objects.filter(pk=first.customer_number).exists()

    assert [(row[0], row[1], row[2]) for row in shown(viewer)] == [
        ("Known", "statement", "1"),
        ("Known", "correction", "1"),
        (first.customer_name, "statement", "1"),
        (first.customer_name, "correction", "−1"),
    ]
    page = show(viewer)
    assert f"{first.customer_name} merged into Known" in text_of(page)
    rows = [line["row"] for line in page.context["rows"]]
    assert [listed(viewer, row.address) for row in rows[::2]] == [["met", "before"], ["met"]]
    assert [listed(viewer, row.changes_address) for row in rows[1::2]] == [["met"], ["met"]]
    close(closer, MARCH.next, JUNE)
    assert [row[:4] for row in billed(viewer, "2024-04")] == [
        ("2024-03", "2024-04", "correction", "1"),
        ("2024-03", "2024-04", "correction", "-1"),
    ]
    assert not [row for row in billed(viewer, "2024-03") if not row[1]]


def listed(client, address):
    """The sessions that an address leads to."""
    with time_machine.travel(JUNE, tick=False):
        return [line.session.session_id for line in client.get(address).context["lines"]]


def test_a_closed_month_without_changes_is_looked_through_in_few_statements(livetok, closer):
    for index in range(3):
        customer_of(name=f"N{index}", number=f"+1555{index:07}")
        call(livetok, f"s{index}", moment("2024-03-05T10:00:00+00:00"), 60, f"+1555{index:07}")
    close(closer)
    [closed] = StatementMonth.objects.all()
    everybody = list(Customer.objects.values_list("pk", flat=True))

    assert customers_after(closed, everybody[0], 1000) == everybody[1:]
    with CaptureQueriesContext(connection) as queries:
        assert corrections_of(closed, everybody) == {}
    assert len(queries) == 4


def test_closing_needs_its_own_permission_and_is_asked_for(livetok, viewer):
    customer_of()
    call(livetok, "a", moment("2024-03-05T10:00:00+00:00"), 60)
    assert viewer.post("/reports/statements/close/", {"month": "2024-03"}).status_code == 403
    assert "Close the month" not in text_of(show(viewer))

    viewer.user.user_permissions.add(Permission.objects.get(codename="close_month"))
    assert "Close the month" in text_of(show(viewer))
    with time_machine.travel(AFTER, tick=False):
        assert "1 customer for March 2024" in text_of(viewer.get("/reports/statements/close/?month=2024-03"))
        answer = viewer.post("/reports/statements/close/", {"month": "2024-03"}, follow=True)
    assert "March 2024 is closed: 1 statement." in text_of(answer)
    for month in ("", "soon"):
        answer = viewer.post("/reports/statements/close/", {"month": month}, follow=True)
        assert "give the month to close, such as 2026-03" in text_of(answer)
    assert "by ana" in text_of(show(viewer))


def test_an_earlier_month_that_is_open_is_named_before_a_later_one_is_closed(livetok, viewer):
    viewer.user.user_permissions.add(Permission.objects.get(codename="close_month"))
    customer_of()
    for month in ("01", "03"):
        call(livetok, month, moment(f"2024-{month}-05T10:00:00+00:00"), 60)
    with time_machine.travel(AFTER, tick=False):
        asked = "/reports/statements/close/?month=2024-"
        assert "Before it, January 2024 is not closed." in text_of(viewer.get(f"{asked}03"))
        assert "Before it" not in text_of(viewer.get(f"{asked}01"))
        viewer.post("/reports/statements/close/", {"month": "2024-01"})
        assert "Before it" not in text_of(viewer.get(f"{asked}03"))
        for month, why in (("2024-13", "Give a month such as 2026-03."), ("2024-05", "This month has not begun")):
            shown = text_of(viewer.get(f"/reports/statements/close/?month={month}", follow=True))
            assert (why in shown, "Nothing was closed" in shown) == (True, False)


def test_a_month_that_has_not_begun_anywhere_has_no_statements(viewer):
    customer = customer_of()
    for at, months in (
        ("2024-03-31T09:00:00Z", {"2024-03": True, "2024-04": False}),
        ("2024-03-31T10:00:00Z", {"2024-03": True, "2024-04": True, "2024-05": False}),
    ):
        with time_machine.travel(at, tick=False):
            for month, has_begun in months.items():
                shown = viewer.get(f"/reports/statements/{customer.pk}/{month}/")
                assert shown.status_code == (200 if has_begun else 404), (at, month)
                listed = text_of(viewer.get(f"/reports/statements/?month={month}"))
                assert ("This month has not begun" in listed) == (not has_begun)
            march = viewer.get(f"/reports/statements/{customer.pk}/2024-03/").content.decode()
            assert (f"/reports/statements/{customer.pk}/2024-04/" in march) == months["2024-04"]


def test_the_page_is_found_paged_and_takes_few_statements(livetok, viewer, closer):
    for index in range(53):
        customer_of(name=f"N{index:02}", number=f"+1555{index:07}")
        call(livetok, f"s{index}", moment("2024-03-05T10:00:00+00:00"), 60, f"+1555{index:07}")
    first = show(viewer)
    second = show(viewer, f"?month=2024-03&after={first.context['after']}")
    names = [line["row"].name for response in (first, second) for line in response.context["rows"]]
    assert names == [f"N{index:02}" for index in range(53)]
    assert [
        line["row"].name for line in show(viewer, f"?month=2024-03&before={second.context['before']}").context["rows"]
    ] == names[:50]
    NewCallers().run()
    assert [row[0] for row in shown(viewer, "?month=2024-03&q=N07")] == ["N07"]
    assert "Give a month such as 2026-03." in text_of(show(viewer, "?month=2024-13"))

    close(closer)
    assert [line["row"].name for line in show(viewer).context["rows"]] == names[:50]
    assert [row[0] for row in shown(viewer, "?month=2024-03&q=N07")] == ["N07"]
    # By what it was called when the month was closed, and by what it is called now.
    Customer.objects.filter(name="N07").update(name="Ångström AB", external_id="crm-7")
    SearchKey.objects.filter(customer__name="Ångström AB").delete()
    NewCallers().run()
    for text in ("n07", "ANGSTROM", "crm-7"):
        assert [row[0] for row in shown(viewer, f"?month=2024-03&q={text}")] == ["N07"]
    with CaptureQueriesContext(connection) as queries:
        show(viewer)
    assert len(queries.captured_queries) <= STATEMENTS_STATEMENTS


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_two_closings_and_late_ends_at_once_lose_nothing():
    """Whatever a line held when it was written, line and correction add up to the sessions."""
    livetok = make_livetok()
    for index in range(12):
        customer_of(name=f"N{index:02}", number=f"+1555{index:07}")
        call(livetok, f"s{index}", moment("2024-03-05T10:00:00+00:00"), None, f"+1555{index:07}")
    user = User.objects.create_superuser("closer")
    outcomes = []

    def closing():
        try:
            outcomes.append(close_month(MARCH, user))
        except MonthIsClosed as error:
            outcomes.append(error)
        finally:
            connection.close()

    def ending():
        for index in range(12):
            livetok.end(
                sessionId=f"s{index}", phoneNumber=f"+1555{index:07}", timestamp="2024-03-05T10:01:30Z", duration=90
            )
        connection.close()

    threads = [threading.Thread(target=work) for work in (closing, ending, closing)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(outcomes) == 2
    assert StatementLine.objects.count() == 12
    client = staff("viewers")
    rows = rows_of(show(client, "?month=2024-03&format=csv"))
    assert sum(int(row["Exact seconds"]) for row in rows) == 12 * 90
    assert sum(float(row["Minutes"]) for row in rows) == 12 * 2
    assert sum(int(row["Sessions"]) for row in rows) == 12
    close_month(MARCH.next, user)
    assert sum(StatementLine.objects.values_list("seconds", flat=True)) == 12 * 90


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_of_two_months_closed_at_once_one_bills_a_correction():
    livetok = make_livetok()
    for index in range(12):
        customer_of(name=f"N{index:02}", number=f"+1555{index:07}")
        call(livetok, f"s{index}", moment("2024-03-05T10:00:00+00:00"), 60, f"+1555{index:07}")
    user = User.objects.create_superuser("closer")
    close(user)
    for index in range(12):
        end(livetok, f"s{index}", moment("2024-03-05T10:00:00+00:00"), 300, f"+1555{index:07}")
    start = threading.Barrier(2)

    def closing(month):
        try:
            start.wait()
            close_month(month, user)
        finally:
            connection.close()

    threads = [threading.Thread(target=closing, args=[month]) for month in (MARCH.next, MARCH.next.next)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert StatementMonth.objects.filter(finished_at__isnull=False).count() == 3
    lines = StatementLine.objects.filter(of_month=MARCH.first_day).exclude(month_id=MARCH.first_day)
    assert sorted(lines.values_list("seconds", flat=True)) == [240] * 12


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_a_correction_that_comes_while_months_are_closed_is_billed_once():
    livetok, user = make_livetok(), User.objects.create_superuser("closer")
    start, numbers = moment("2024-03-05T10:00:00+00:00"), [f"+1555{index:07}" for index in range(8)]
    for index, number in enumerate(numbers):
        customer_of(name=f"N{index:02}", number=number)
        call(livetok, f"s{index}", start, 60, number)
    close_month(MARCH, user)
    months = [MARCH.next]
    for _ in range(4):
        months.append(months[-1].next)

    def correcting():
        for seconds in (90, 120, 150):
            for index, number in enumerate(numbers):
                timestamp = (start + timedelta(seconds=seconds)).isoformat()
                livetok.end(sessionId=f"s{index}", phoneNumber=number, timestamp=timestamp, duration=seconds)
        connection.close()

    def closing(some):
        for month in some:
            close_month(month, user)
        connection.close()

    run_at_once([correcting, lambda: closing(months[:2]), lambda: closing(months[2:4])])
    close_month(months[4], user)

    assert PastMonthWrite.objects.filter(is_recounted=False).count() == 0
    billed = Counter()
    for line in StatementLine.objects.all():
        billed[line.customer_number] += line.seconds
    assert billed == dict.fromkeys(Customer.objects.values_list("pk", flat=True), 150)


@pytest.mark.serial
@pytest.mark.only("postgresql")
@pytest.mark.django_db(transaction=True)
def test_a_correction_listed_before_another_and_stored_after_it_waits_for_the_next_closing():
    livetok, user = make_livetok(), User.objects.create_superuser("closer")
    start, numbers = moment("2024-03-05T10:00:00+00:00"), ["+15550000001", "+15550000002"]
    for name, number in zip("ab", numbers, strict=True):
        customer_of(name=name, number=number)
        call(livetok, name, start, 60, number)
    close_month(MARCH, user)
    is_listed, may_be_stored = threading.Event(), threading.Event()

    def slow():
        with transaction.atomic():
            livetok.end(sessionId="a", phoneNumber=numbers[0], timestamp="2024-03-05T10:02:00Z", duration=120)
            is_listed.set()
            assert may_be_stored.wait(10)
        connection.close()

    def closing():
        close_month(MARCH.next, user)
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        stored = pool.submit(slow)
        assert is_listed.wait(10)
        livetok.end(sessionId="b", phoneNumber=numbers[1], timestamp="2024-03-05T10:03:00Z", duration=180)
        with transaction.atomic():
            StatementMonth.objects.select_for_update().get(pk=MARCH.first_day)
            closed = pool.submit(closing)
            wait_until_somebody_waits_for_a_lock()
            may_be_stored.set()
            stored.result()
        closed.result()
    close_month(MARCH.next.next, user)

    later = StatementLine.objects.exclude(month_id=MARCH.first_day).order_by("month")
    assert [(line.month_id, line.customer_name, line.seconds) for line in later] == [
        (MARCH.next.first_day, "b", 120),
        (MARCH.next.next.first_day, "a", 60),
    ]


def wait_until_somebody_waits_for_a_lock():
    give_up_at = time.monotonic() + 10
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone():
                return
            assert time.monotonic() < give_up_at
            time.sleep(0.01)


def run_at_once(works):
    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


def test_the_totals_of_everybody_do_not_stand_above_those_whom_a_search_finds(livetok, viewer, closer):
    customer_of()
    call(livetok, "a", moment("2024-03-05T10:00:00+00:00"), 60)
    close(closer)
    asked = {query: bool(show(viewer, f"?month=2024-03{query}").context["figures"]) for query in ("", "&q=Ada")}
    assert asked == {"": True, "&q=Ada": False}
