"""Statements month by month: as they stand, as they were closed, and what has changed since."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from customers.lengths import LONGEST_TEXT
from customers.models import Channel, Customer
from customers.past import TakenOver, taken_over
from sessions_app.billing.closing import MonthIsClosed, MonthNotOver, closable_from, close_month
from sessions_app.billing.corrections import Correction, corrections_of
from sessions_app.billing.statements import (
    Month,
    Statement,
    Use,
    customers_of,
    roundings_now,
    statements,
    stored_statement,
)
from sessions_app.models import DailyUsage, Session, StatementLine, StatementMonth
from sessions_app.periods import local_day
from sessions_app.reports.customers import named
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import NOTHING, Figure, number_words, used_address
from sessions_app.reports.frame.pages import action, page, report
from sessions_app.reports.frame.range_filters import WITHOUT

PAGE_SIZE = 50
EXPORTED_AT_ONCE = 200
MONTHS_OFFERED = 6
LARGEST_ID = 2**63 - 1
FIRST_YEAR, LAST_YEAR = 1970, 2198

DEFINITION = (
    "A session belongs, whole, to the month in which it starts in the customer's time zone; limits alone split it at "
    "midnight. Denied sessions and test traffic are left out; an open session counts as a session, and its minutes "
    "once it has ended. Each session's duration is rounded up as its tier says, then minutes are added up. Included: "
    "the limit of call minutes a month for all channels and agents that is in force on the month's last instant, hard "
    "or soft. Over: billed minutes on channels that count toward call minutes, beyond it."
)
CLOSED_DEFINITION = (
    "A closed month stays as it was closed, with its roundings and what was included. What changes afterwards, by late "
    "or corrected ends, late begins or merged customers, is a correction: a line of its own, the difference to a "
    "recount of the sessions. It is billed with the month that is closed next, and stays as it is from then on; so "
    "whatever was billed never changes, and all lines of a month add up to its sessions as they were at the last "
    "closing."
)


class MonthField(forms.CharField):
    def clean(self, value: Any) -> Month | None:
        text = super().clean(value)
        if not text:
            return None
        match = re.fullmatch(r"(\d{4})-(\d{2})", text, re.ASCII)
        if match is None or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR or not 1 <= int(match[2]) <= 12:
            raise ValidationError("Give a month such as 2026-03.")
        return Month(date(int(match[1]), int(match[2]), 1))


class StatementFilters(forms.Form):
    month = MonthField(
        label="Month", required=False, widget=forms.TextInput(attrs={"type": "month", "placeholder": "2026-03"})
    )
    q = forms.CharField(
        label="Customer",
        required=False,
        max_length=LONGEST_TEXT,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name, number or external id"}),
    )
    after = forms.IntegerField(required=False, min_value=0, max_value=LARGEST_ID)
    before = forms.IntegerField(required=False, min_value=0, max_value=LARGEST_ID)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data, use_required_attribute=False, auto_id="filter-%s", label_suffix="")


@dataclass(frozen=True)
class StatementRow:
    """A line of the page: a customer's statement, or a correction.

    `billed` is what it comes to, `of_month` the month of its sessions; `billed_with` is None until it is billed.
    A customer who is gone was `taken_over` by another.
    """

    statement: Statement
    kind: str
    billed: Statement | Correction
    of_month: Month
    billed_with: Month | None
    of_month_closed_at: datetime | None = None
    taken_over: TakenOver | None = None

    @property
    def number(self) -> int:
        return self.statement.customer_number

    @property
    def name(self) -> str:
        return self.statement.customer_name

    @property
    def use(self) -> Use:
        return self.billed.counted.total

    @property
    def channels(self) -> Mapping[str, Use]:
        return self.billed.counted.channels

    @property
    def billed_call_seconds(self) -> int:
        return self.billed.counted.billed_call_seconds

    @property
    def over_seconds(self) -> int | None:
        return self.billed.over_seconds

    @property
    def included_minutes(self) -> int | None:
        return self.statement.included_minutes

    @property
    def changes_address(self) -> str:
        """The sessions of which something came after the closing, or that came by merging."""
        closed_at = self.of_month_closed_at
        return self._address(changed_after=closed_at.isoformat() if closed_at else "")

    @property
    def cells(self) -> list[str]:
        """Minutes on each of the page's channels come from `minutes_on`."""
        return [self.call_minutes, self.included_words, self.over_words]

    @property
    def call_minutes(self) -> str:
        return minutes_words(self.billed_call_seconds)

    @property
    def address(self) -> str:
        return self._address()

    @property
    def calls_address(self) -> str:
        return self._address(calls=True)

    def channel_address(self, channel: str) -> str:
        return self._address(channel=channel or WITHOUT)

    def _address(self, **narrowed: object) -> str:
        """The sessions as they are now; those of a customer who is gone are another's."""
        month, taken = self.of_month, self.taken_over
        customer, phone = (taken.customer.pk, taken.key) if taken else (self.number, "")
        filters = {"customer": customer, "phone": phone, **narrowed}
        return used_address(month.first_day, month.last_day, minutes=False, **filters)

    @property
    def included_words(self) -> str:
        if self.kind == "correction":
            return ""
        return "no limit" if self.included_minutes is None else number_words(self.included_minutes)

    @property
    def over_words(self) -> str:
        return NOTHING if self.over_seconds is None else minutes_words(self.over_seconds)

    @property
    def sessions_words(self) -> str:
        return signed(number_words(self.use.sessions)) if self.kind == "correction" else number_words(self.use.sessions)

    def minutes_on(self, channel: str) -> str:
        use = self.channels.get(channel)
        return minutes_words(use.billed_seconds) if use else NOTHING


def minutes_words(seconds: int) -> str:
    return signed(number_words(seconds / 60, 2))


def signed(words: str) -> str:
    return words.replace("-", "−")


class MonthlyStatements:
    """The statements of a month, customer by customer in the order of their ids."""

    def __init__(self, month: Month, q: str) -> None:
        self.month = month
        self.closed = StatementMonth.objects.select_related("closed_by").filter(pk=month.first_day).first()
        self.is_closed = self.closed is not None and self.closed.finished_at is not None
        self.customers: QuerySet[Customer] = customers_of(month)
        self.lines: QuerySet[StatementLine] = StatementLine.objects.none()
        if q:
            self.customers = self.customers.filter(named(q))
        if self.is_closed:
            assert self.closed is not None
            self.lines = _lines_about(self.closed)
            if q:
                today = Customer.objects.filter(named(q)).values("pk")
                told = Q(customer_name__istartswith=q) | Q(external_id=q) | Q(customer_number__in=today)
                self.lines = self.lines.filter(told)

    def numbers(self, after: int, most: int) -> list[int]:
        """Of the next customers after an id, those who are gone since included."""
        stored = self.lines.filter(customer_number__gt=after).order_by("customer_number").distinct()
        now = self.customers.filter(pk__gt=after).order_by("pk")
        found = {*stored.values_list("customer_number", flat=True)[:most], *now.values_list("pk", flat=True)[:most]}
        return sorted(found)[:most]

    def numbers_before(self, before: int, most: int) -> list[int]:
        stored = self.lines.filter(customer_number__lt=before).order_by("-customer_number").distinct()
        now = self.customers.filter(pk__lt=before).order_by("-pk")
        found = {*stored.values_list("customer_number", flat=True)[:most], *now.values_list("pk", flat=True)[:most]}
        return sorted(found)[-most:]

    def rows(self, numbers: Sequence[int]) -> list[StatementRow]:
        if not self.is_closed:
            customers = Customer.objects.in_bulk(numbers)
            found = statements([customers[pk] for pk in numbers if pk in customers], self.month, roundings_now())
            return [StatementRow(statement, "statement", statement, self.month, None) for statement in found]
        assert self.closed is not None
        rows: dict[int, list[StatementRow]] = {number: [] for number in numbers}
        here = set(Customer.objects.filter(pk__in=numbers).values_list("pk", flat=True))
        gone = [number for number in numbers if number not in here]
        taken = taken_over(gone) if gone else {}
        lines = _lines_about(self.closed).filter(customer_number__in=numbers)
        closed_at = dict(StatementMonth.objects.values_list("pk", "closed_at"))
        for line in lines.order_by("month", "of_month"):
            number = line.customer_number
            rows[number].append(_stored_row(line, closed_at[line.of_month], taken.get(number)))
        for number, correction in corrections_of(self.closed, numbers).items():
            told, since = correction.statement, closed_at[self.month.first_day]
            rows[number].append(
                StatementRow(told, "correction", correction, self.month, None, since, taken.get(number))
            )
        # The statement first, then what is billed with it, then what was billed later.
        return [row for number in numbers for row in sorted(rows[number], key=self._place)]

    def _place(self, row: StatementRow) -> tuple[bool, bool]:
        return row.kind == "correction", row.billed_with != self.month

    def every_row(self) -> Iterator[StatementRow]:
        last = 0
        while numbers := self.numbers(last, EXPORTED_AT_ONCE):
            yield from self.rows(numbers)
            last = numbers[-1]


def _lines_about(closed: StatementMonth) -> QuerySet[StatementLine]:
    """What was billed with a month, and what was billed later of its sessions."""
    return StatementLine.objects.filter(Q(month=closed) | Q(of_month=closed.first_day))


def _stored_row(line: StatementLine, closed_at: datetime, taken: TakenOver | None) -> StatementRow:
    told, of_month, billed_with = stored_statement(line), Month(line.of_month), Month(line.month_id)
    if of_month == billed_with:
        return StatementRow(told, "statement", told, of_month, billed_with, None, taken)
    correction = Correction(told, told.counted, line.over_seconds)
    return StatementRow(told, "correction", correction, of_month, billed_with, closed_at, taken)


@report
def statements_page(request: HttpRequest) -> HttpResponseBase:
    """A month's statements."""
    now = timezone.now()
    this_month = Month.holding(local_day(now, ZoneInfo(timezone.get_default_timezone_name())))
    asked = request.GET.copy()
    asked["month"] = asked.get("month") or str(this_month.previous)
    filters = StatementFilters(asked)
    context: dict[str, Any] = {"title": "Statements", "filters": filters, "months": _offered(this_month)}
    if not filters.is_valid():
        return page(request, "reports/statements.html", context)
    month = filters.cleaned_data["month"]
    monthly = MonthlyStatements(month, filters.cleaned_data["q"])
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        slugs = [*Channel.objects.values_list("pk", flat=True), ""]
        cells = (_as_row(row, slugs) for row in monthly.every_row())
        return export(f"statements-{month}", file_format, _columns(slugs), cells)
    numbers, context["before"], context["after"] = _page_of(monthly, filters)
    rows = monthly.rows(numbers)
    channels = sorted({channel for row in rows for channel in row.channels})
    labels = {channel.pk: str(channel) for channel in Channel.objects.filter(pk__in=channels)}
    closable = closable_from(month)
    context |= {
        "month": month,
        "closed": monthly.closed,
        "is_closed": monthly.is_closed,
        "is_over": now >= closable,
        "closable_from": closable,
        "corrects": not monthly.is_closed and StatementMonth.objects.filter(finished_at__isnull=False).exists(),
        "may_close": request.user.has_perm("sessions_app.close_month"),
        "channels": [labels.get(channel, "No channel") for channel in channels],
        "rows": [
            {"row": row, "minutes": [(row.minutes_on(channel), row.channel_address(channel)) for channel in channels]}
            for row in rows
        ],
        "figures": _totals(monthly) if monthly.is_closed else [],
        "definition": DEFINITION,
        "closed_definition": CLOSED_DEFINITION,
    }
    return page(request, "reports/statements.html", context)


def _offered(this_month: Month) -> list[Month]:
    months = [this_month]
    while len(months) < MONTHS_OFFERED:
        months.append(months[-1].previous)
    return months


def _page_of(monthly: MonthlyStatements, filters: StatementFilters) -> tuple[list[int], int | None, int | None]:
    """The customers' ids of the page, and the ids beside which the pages around it begin."""
    after, before = filters.cleaned_data["after"], filters.cleaned_data["before"]
    if before is not None:
        numbers = monthly.numbers_before(before, PAGE_SIZE + 1)
        if len(numbers) > PAGE_SIZE:
            return numbers[1:], numbers[1], numbers[-1]
        after = None  # less than a page: the first one shows it, filled up
    numbers = monthly.numbers(after or 0, PAGE_SIZE + 1)
    shown = numbers[:PAGE_SIZE]
    return shown, shown[0] if after and shown else None, shown[-1] if len(numbers) > PAGE_SIZE else None


def _totals(monthly: MonthlyStatements) -> list[Figure]:
    assert monthly.closed is not None
    month, lines = monthly.month, monthly.closed.lines
    total = lines.filter(of_month=month.first_day).aggregate(
        customers=Count("pk"),
        sessions=Sum("sessions", default=0),
        billed=Sum("billed_seconds", default=0),
        over=Sum("over_seconds", default=0),
    )
    now = DailyUsage.objects.filter(day__gte=month.first_day, day__lt=month.after).aggregate(
        sessions=Sum("sessions", default=0)
    )["sessions"]
    figures = [
        Figure(
            "Customers",
            number_words(total["customers"]),
            "Customers with a session in the month, as closed.",
            f"{reverse('reports:statements')}?month={month}#list",
        ),
        Figure(
            "Sessions",
            number_words(total["sessions"]),
            "Of all statements, as closed. The list behind the number has the month's sessions as they are now.",
            used_address(month.first_day, month.last_day),
            note=f"{number_words(now)} now" if now != total["sessions"] else "",
        ),
        Figure(
            "Billed minutes",
            number_words(total["billed"] / 60, 1),
            f"Of all statements, as closed. {DEFINITION}",
            used_address(month.first_day, month.last_day),
        ),
        Figure(
            "Over",
            number_words(total["over"] / 60, 1),
            "Billed call minutes beyond what is included, as closed.",
            used_address(month.first_day, month.last_day, calls=True),
        ),
    ]
    return [*figures, *_corrections_billed(lines.exclude(of_month=month.first_day))]


def _corrections_billed(corrections: QuerySet[StatementLine]) -> list[Figure]:
    """Of months closed before; none where nothing was corrected."""
    total = corrections.aggregate(lines=Count("pk"), billed=Sum("billed_seconds", default=0))
    if not total["lines"]:
        return []
    lines = f"{total['lines']} line{'' if total['lines'] == 1 else 's'}"
    definition = f"Minutes of corrections of months closed before, billed with this one. {CLOSED_DEFINITION}"
    return [Figure("Minutes of corrections", minutes_words(total["billed"]), definition, "#list", note=lines)]


def _columns(slugs: Sequence[str]) -> list[str]:
    return [
        "Month", "Billed with", "Line", "Customer id", "Customer", "External id", "Tier", "Sessions", "Exact seconds",
        *(f"Minutes {slug or 'without channel'}" for slug in slugs),
        "Minutes", "Call minutes", "Included", "Over",
    ]  # fmt: skip


def _as_row(row: StatementRow, slugs: Sequence[str]) -> Row:
    def minutes(seconds: int | None) -> float | None:
        return None if seconds is None else round(seconds / 60, 4)

    return (
        str(row.of_month), str(row.billed_with or ""), row.kind, row.number, row.name, row.statement.external_id,
        row.statement.tier, row.use.sessions, row.use.seconds,
        *(minutes(row.channels.get(slug, Use()).billed_seconds) for slug in slugs),
        minutes(row.use.billed_seconds),
        minutes(row.billed_call_seconds),
        row.included_minutes if row.kind == "statement" else None,
        minutes(row.over_seconds),
    )  # fmt: skip


@action("sessions_app.close_month")
def close(request: HttpRequest) -> HttpResponseBase:
    """Ask, then close a month."""
    filters = StatementFilters(request.POST if request.method == "POST" else request.GET)
    month = filters.cleaned_data["month"] if filters.is_valid() else None
    if month is None:
        messages.error(request, "Nothing was closed: give the month to close, such as 2026-03.")
        return HttpResponseRedirect(reverse("reports:statements"))
    address = f"{reverse('reports:statements')}?month={month}"
    if request.method == "POST":
        _close(request, month)
        return HttpResponseRedirect(address)
    context = {
        "title": f"Close {month.first_day:%B %Y}",
        "month": month,
        "is_over": timezone.now() >= closable_from(month),
        "closable_from": closable_from(month),
        "closed": StatementMonth.objects.filter(pk=month.first_day, finished_at__isnull=False).first(),
        "open_sessions": _still_open(month, timezone.now()),
        "customers": customers_of(month).count(),
        "address": address,
        "closed_definition": CLOSED_DEFINITION,
    }
    return page(request, "reports/close_month.html", context)


def _close(request: HttpRequest, month: Month) -> None:
    assert isinstance(request.user, User)
    try:
        closed = close_month(month, request.user)
    except MonthNotOver:
        messages.error(request, f"{month.first_day:%B %Y} is not over for every customer yet, so it stays open.")
    except MonthIsClosed:
        messages.info(request, f"{month.first_day:%B %Y} was closed already; its statements stay as they are.")
    else:
        lines = closed.lines.filter(of_month=month.first_day).count()
        corrections = closed.lines.count() - lines
        words = f"{lines} statement{'' if lines == 1 else 's'}"
        if corrections:
            words += f", and {corrections} correction{'' if corrections == 1 else 's'} of months closed before"
        messages.success(request, f"{month.first_day:%B %Y} is closed: {words}.")


def _still_open(month: Month, now: datetime) -> int:
    """Sessions of about the month whose end may still come; a hint, by the company's days."""
    zone = ZoneInfo(timezone.get_default_timezone_name())
    before = month.last_instant(zone)
    found = Session.objects.in_state(Session.State.OPEN, now)
    return found.filter(is_test=False, customer__isnull=False, started_at__lte=before).count()
