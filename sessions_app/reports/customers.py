"""All customers by name, with what each has used of its limits, and how they fall into groups."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.core.validators import MinValueValidator
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from customers.lengths import LARGEST_ID, LONGEST_TEXT
from customers.limits import Metric, Period
from customers.models import Customer, Tier
from customers.search.finding import named
from sessions_app.database.replica import steadily
from sessions_app.periods import ONE_DAY
from sessions_app.reports.customer_order import customer_page, numbers_in_order
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import (
    NOTHING,
    Figure,
    full_days_address,
    number_words,
    percent_words,
    sessions_address,
    used_address,
)
from sessions_app.reports.frame.narrowing import NarrowingForm
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.sorting import Column, check_sort, heads_of
from sessions_app.usage.often import CLOSE_PERCENT, OFTEN, often_filled
from sessions_app.usage.shares import FULL_DAYS, GROUPS, Group, full_days, group_sizes, members
from sessions_app.usage.standing import LimitUse, Standing, standings, with_limits
from sessions_app.wording import used_number

EXPORTED_AT_ONCE = 500
DAYS_AT_LIMIT = FULL_DAYS["reached"].days
CANDIDATE_SHARE = CLOSE_PERCENT / 100
MOST_RANKED = 100
# With more customers what is worked out for all of them comes after the page.
MOST_SUMMED_AT_ONCE = 5_000
PERIOD_WORDS = {Period.DAY: "today", Period.MONTH: "this month"}

USED_DEFINITION = (
    "Each customer's fullest hard limit of call minutes or sessions in the period, of any channel or agent: what is "
    "used, sessions that are open included, divided by the limit in force now. Days and months are the customer's own. "
    "Limits of 0 and soft limits are left out."
)
DAYS_DEFINITION = (
    f"On how many of the last {DAYS_AT_LIMIT} days, today among them, recorded use reached a daily limit that is in "
    "force now. What the limit was on those days is not asked; sessions that are open do not count yet."
)
CANDIDATE_DEFINITION = (
    "Customers whose recorded use reached {close} of a day's limit on at least {day.at_least} of the last "
    "{day.periods} days, {close} of a week's limit in at least {week.at_least} of the last {week.periods} weeks, or "
    "all of a month's limit in this month or the last. Days, weeks and months are each customer's own, the running "
    "ones among them. Limits are the hard ones of call minutes and sessions that are in force now."
).format(close=percent_words(CANDIDATE_SHARE), **{period.value: often for period, often in OFTEN.items()})

CUSTOMER_COLUMNS = (
    "Customer", "External id", "Number", "Tier", "Status",
    "Used today (%)", "Fullest limit today", "Used this month (%)", "Fullest limit this month",
    f"Days at the limit ({DAYS_AT_LIMIT})",
)  # fmt: skip

# What is used of limits is worked out for each customer of the page alone: all of them would take seconds.
COLUMNS = (
    Column("name", "Customer"),
    Column("tier", "Tier"),
    Column("status", "Status"),
    Column("", "Used today"),
    Column("", "Used this month"),
    Column("", "Days at the limit", is_number=True),
)


class CustomerFilters(NarrowingForm):
    q = forms.CharField(
        label="Search",
        required=False,
        max_length=LONGEST_TEXT,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name, number, email or external id"}),
    )
    tier = forms.ChoiceField(label="Tier", required=False)
    status = forms.ChoiceField(
        label="Status",
        required=False,
        choices=[("", "All"), *((s.value, s.label.capitalize()) for s in Customer.Status)],
    )
    period = forms.ChoiceField(
        label="Used of limit", required=False, choices=[("day", "Today"), ("month", "This month")]
    )
    group = forms.ChoiceField(
        label="Group", required=False, choices=[("", "All"), *((group.slug, group.label) for group in GROUPS)]
    )
    sort = forms.CharField(required=False, widget=forms.HiddenInput)
    after = forms.IntegerField(required=False, validators=[MinValueValidator(0)], max_value=LARGEST_ID)
    before = forms.IntegerField(required=False, validators=[MinValueValidator(0)], max_value=LARGEST_ID)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data, use_required_attribute=False, auto_id="filter-%s", label_suffix="")
        tier = self.fields["tier"]
        assert isinstance(tier, forms.ChoiceField)
        tier.choices = [("", "All"), *((tier.slug, tier.name) for tier in Tier.objects.all())]
        for name in ("tier", "status", "period", "group"):
            self.fields[name].error_messages["invalid_choice"] = "There is no “%(value)s”. Choose from the list."

    def clean_sort(self) -> str:
        return check_sort(self.cleaned_data["sort"], COLUMNS) or "name"

    def clean_period(self) -> str:
        return self.cleaned_data["period"] or "day"

    @property
    def narrowed_by(self) -> tuple[str, ...]:  # type: ignore[override]
        """The period says nothing without a group."""
        return ("q", "tier", "status", *(("group", "period") if self.cleaned_data.get("group") else ()))

    def customers(self, now: datetime) -> tuple[QuerySet[Customer], set[int] | None]:
        """The customers that match, in no order; and, where a group is asked for, who is in it."""
        values = self.cleaned_data
        found = Customer.objects.all()
        if values["tier"]:
            found = found.filter(tier__slug=values["tier"])
        if values["status"]:
            found = found.filter(status=values["status"])
        if values["q"]:
            found = found.filter(named(values["q"]))
        if not values["group"]:
            return found, None
        group = next(group for group in GROUPS if group.slug == values["group"])
        return found, members(Period(values["period"]), group, now)


@dataclass(frozen=True)
class CustomerLine:
    customer: Customer
    number: str
    standing: Standing
    days_at_limit: int

    @property
    def day(self) -> "Fullest":
        return self._fullest(Period.DAY)

    @property
    def month(self) -> "Fullest":
        return self._fullest(Period.MONTH)

    def _fullest(self, period: Period) -> "Fullest":
        use = self.standing.fullest(period)
        return Fullest(use, use_address(self.standing, use) if use else "")

    @property
    def days_address(self) -> str:
        return full_days_address(self.customer.pk, "reached")

    def as_row(self) -> Row:
        return (
            str(self.customer),
            self.customer.external_id or "",
            self.number,
            str(self.customer.tier),
            self.customer.status,
            self.day.percent,
            self.day.limit_words,
            self.month.percent,
            self.month.limit_words,
            self.days_at_limit,
        )


@dataclass(frozen=True)
class Fullest:
    """The fullest limit of a period, in words; `use` is None where nothing limits it."""

    use: LimitUse | None
    address: str = ""

    @property
    def percent(self) -> float | None:
        return None if self.use is None else round((self.use.share or 0.0) * 100, 1)

    @property
    def percent_words(self) -> str:
        return NOTHING if self.use is None else percent_words(self.use.share or 0.0)

    @property
    def limit_words(self) -> str:
        return "" if self.use is None else f"{used_number(self.use.used or 0.0)} of {self.use.limit}"

    @property
    def bar(self) -> float:
        return min(100.0, self.percent or 0.0)

    @property
    def kind(self) -> str:
        """How alarming it is: the colour of the bar."""
        share = self.use.share or 0.0 if self.use is not None else 0.0
        return "bad" if share >= 1 else "odd" if share >= CANDIDATE_SHARE else ""


def use_address(standing: Standing, use: LimitUse) -> str:
    """The sessions that use a limit; none for messages, which are never reported to us."""
    limit, span = use.limit, standing.spans.get(use.limit.period)
    scope = {"customer": standing.customer.pk, "channel": limit.channel, "agent": limit.agent}
    if limit.metric is Metric.CONCURRENT_SESSIONS:
        return sessions_address(**scope, open_now=True)
    if span is None or not limit.metric.is_measured:
        return ""
    is_minutes = limit.metric is Metric.CALL_MINUTES
    last_day = span.after_last_day - ONE_DAY
    return used_address(span.first_day, last_day, **scope, minutes=is_minutes, calls=is_minutes)


def customer_lines(customers: Sequence[Customer], now: datetime) -> list[CustomerLine]:
    ids = [customer.pk for customer in customers]
    ready = with_limits(Customer.objects.filter(pk__in=ids), now).prefetch_related("numbers")
    by_pk = {customer.pk: customer for customer in ready}
    # One may be gone by now, merged into another.
    in_order = [by_pk[pk] for pk in ids if pk in by_pk]
    stand = standings(in_order, now)
    days = full_days(now, days=DAYS_AT_LIMIT, share=1, customer_ids=ids) if ids else {}
    return [
        CustomerLine(customer, _number(customer), stand[customer.pk], days.get(customer.pk, 0)) for customer in in_order
    ]


def _number(customer: Customer) -> str:
    """As sessions show it: by its key, however it was written."""
    numbers = list(customer.numbers.all())
    return numbers[0].shown_by_key if numbers else ""


def _all_lines(found: QuerySet[Customer], wanted: set[int] | None, sort: str, now: datetime) -> Iterator[CustomerLine]:
    """Some at a time: whoever takes them slowly holds nothing of the database between."""
    numbers = steadily(partial(numbers_in_order, found, wanted, sort))
    for first in range(0, len(numbers), EXPORTED_AT_ONCE):
        # Unread: `customer_lines` reads them by their ids.
        some = [Customer(pk=number) for number in numbers[first : first + EXPORTED_AT_ONCE]]
        yield from steadily(partial(customer_lines, some, now))


@dataclass(frozen=True)
class GroupLine:
    """A group with how many customers are in it, by period."""

    group: Group
    sizes: Mapping[str, int]
    percents: Mapping[str, float]

    @property
    def kind(self) -> str:
        return "bad" if self.group.low >= 1 else "odd" if self.group.low >= CANDIDATE_SHARE else ""


def group_lines(sizes: Mapping[tuple[Period, str], int]) -> list[GroupLine]:
    totals = {
        period: sum(size for (of_period, _), size in sizes.items() if of_period is period) for period in PERIOD_WORDS
    }
    lines = []
    for group in GROUPS:
        counts = {period.value: sizes.get((period, group.slug), 0) for period in PERIOD_WORDS}
        percents = {
            period.value: round(100 * counts[period.value] / total, 1) if total else 0.0
            for period, total in totals.items()
        }
        lines.append(GroupLine(group, counts, percents))
    return lines


@report
def customers(request: HttpRequest) -> HttpResponseBase:
    """All customers by name, with what each has used of its limits, and how they fall into groups."""
    now = timezone.now()
    filters = CustomerFilters(request.GET)
    context: dict[str, Any] = {"title": "Customers", "tab": "all", "filters": filters}
    if not filters.is_valid():
        return page(request, "reports/customers.html", context)
    found, wanted = filters.customers(now)
    sort = filters.cleaned_data["sort"]
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        return export(
            "customers", file_format, CUSTOMER_COLUMNS, (line.as_row() for line in _all_lines(found, wanted, sort, now))
        )
    if request.GET.get("part") == "groups":
        return render(request, "reports/_customer_groups.html", _summary(now))
    shown = customer_page(found, wanted, filters.cleaned_data["after"], filters.cleaned_data["before"], sort)
    comes_late = Customer.objects.count() > MOST_SUMMED_AT_ONCE and not request.GET.get("groups")
    context |= {} if comes_late else _summary(now)
    context |= {
        "comes_late": comes_late,
        "heads": heads_of(COLUMNS, sort),
        "sorted_by": sort.removeprefix("-"),
        "at_limit": [(period.value, words) for period, words in PERIOD_WORDS.items()],
        "full": GROUPS[-1].slug,
        "page": shown,
        "count": _how_many(found, wanted),
        "lines": customer_lines(shown.customers, now),
        "used_definition": USED_DEFINITION,
        "days_definition": DAYS_DEFINITION,
        "days_at_limit": DAYS_AT_LIMIT,
    }
    return page(request, "reports/customers.html", context)


def _how_many(found: QuerySet[Customer], wanted: set[int] | None) -> int:
    return found.count() if wanted is None else len(wanted.intersection(found.values_list("pk", flat=True)))


def _summary(now: datetime) -> dict[str, Any]:
    """The groups and figures of all customers, which take one to two seconds for a hundred thousand of them."""
    sizes = group_sizes(now)
    return {
        "groups": group_lines(sizes),
        "figures": customer_figures(sizes, now),
        "used_definition": USED_DEFINITION,
    }


def customer_figures(sizes: Mapping[tuple[Period, str], int], now: datetime) -> list[Figure]:
    candidates = len({filled.customer_id for filled in often_filled(now)})
    full = {period: sizes.get((period, GROUPS[-1].slug), 0) for period in PERIOD_WORDS}
    return [
        Figure(
            "Customers",
            number_words(Customer.objects.count()),
            "All that are stored, of any status.",
            reverse("reports:customers"),
        ),
        *(
            Figure(
                f"At the limit {words}",
                number_words(full[period]),
                f"Customers whose fullest limit {words} is used up. {USED_DEFINITION}",
                f"{reverse('reports:customers')}?period={period.value}&group={GROUPS[-1].slug}#list",
            )
            for period, words in PERIOD_WORDS.items()
        ),
        Figure("Upgrade candidates", f"{candidates:,}", CANDIDATE_DEFINITION, reverse("reports:upgrade-candidates")),
    ]
