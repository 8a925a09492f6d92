"""The page of a month's statements: as they stand, as they were closed, and what has changed since."""

import re
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils import timezone

from customers.currencies import money_words
from customers.keyset import page_beside
from customers.lengths import LARGEST_ID, LONGEST_TEXT
from customers.models import Channel
from customers.zones import company_zone
from sessions_app.billing.closing import closable_from
from sessions_app.billing.statements import Month
from sessions_app.models import DailyUsage, StatementLine, StatementMonth
from sessions_app.periods import local_day
from sessions_app.reports.frame.export import FORMATS
from sessions_app.reports.frame.figures import Figure, number_words, used_address
from sessions_app.reports.frame.narrowing import NarrowingForm
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.sorting import check_sort, heads_of
from sessions_app.reports.statement_columns import channels_of, columns_of, has_sums
from sessions_app.reports.statement_file import statements_file
from sessions_app.reports.statement_order import SortedStatements
from sessions_app.reports.statement_rows import MonthlyStatements, minutes_words

PAGE_SIZE = 50
MONTHS_OFFERED = 6
FIRST_YEAR, LAST_YEAR = 1970, 2198

DEFINITION = (
    "A session belongs, whole, to the month in which it starts in the customer's time zone; limits alone split it at "
    "midnight. Denied sessions and test traffic are left out; an open session counts as a session, and its minutes "
    "once it has ended. Each session's duration is rounded up as its tier says, then minutes are added up. Included: "
    "the limit of call minutes a month for all channels and agents that is in force on the month's last instant, hard "
    "or soft. Over: billed minutes on channels that count toward call minutes, without those from top-ups, beyond it. "
    "Sum: minutes over, to the second, times the tier's price in force on the month's last instant, rounded half up "
    "once."
)
CLOSED_DEFINITION = (
    "A closed month stays as it was closed, with its roundings and what was included. What changes afterwards, by late "
    "or corrected ends, late begins or merged customers, is a correction: a line of its own, the difference to a "
    "recount of the sessions. It is billed with the month that is closed next, and stays as it is from then on; so "
    "whatever was billed never changes, and all lines of a month add up to its sessions as they were at the last "
    "closing."
)


def month_of(text: str) -> Month | None:
    """Of a text such as "2026-03"; None where it is none."""
    match = re.fullmatch(r"(\d{4})-(\d{2})", text, re.ASCII)
    if match is None or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR or not 1 <= int(match[2]) <= 12:
        return None
    return Month(date(int(match[1]), int(match[2]), 1))


class MonthField(forms.CharField):
    def clean(self, value: Any) -> Month | None:
        text = super().clean(value)
        month = month_of(text) if text else None
        if text and month is None:
            raise ValidationError("Give a month such as 2026-03.")
        return month


class StatementFilters(NarrowingForm):
    narrowed_by = ("q", "only_over")

    month = MonthField(
        label="Month", required=False, widget=forms.TextInput(attrs={"type": "month", "placeholder": "2026-03"})
    )
    q = forms.CharField(
        label="Customer",
        required=False,
        max_length=LONGEST_TEXT,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name, number, email or external id"}),
    )
    only_over = forms.BooleanField(label="Only over", required=False)
    sort = forms.CharField(required=False, widget=forms.HiddenInput)
    # Of a list in the order of a column: how many customers come before the page. By ids it goes by the one beside it.
    start = forms.IntegerField(required=False, min_value=0, max_value=LARGEST_ID)
    after = forms.IntegerField(required=False, min_value=0, max_value=LARGEST_ID)
    before = forms.IntegerField(required=False, min_value=0, max_value=LARGEST_ID)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data, use_required_attribute=False, auto_id="filter-%s", label_suffix="")

    def clean_month(self) -> Month | None:
        month: Month | None = self.cleaned_data["month"]
        if month is not None and not month.has_begun(timezone.now()):
            raise ValidationError("This month has not begun for anybody. Give an earlier one.")
        return month

    def clean_sort(self) -> str:
        channels = dict.fromkeys(["", *Channel.objects.values_list("pk", flat=True)], "")
        return check_sort(self.cleaned_data["sort"], columns_of(channels, is_counted=True, has_sums=True))

    def check(self, listed: SortedStatements) -> bool:
        """Whether the month can be listed so; else an error says why not."""
        try:
            listed.check()
        except ValidationError as error:
            self.add_error("sort", error)
        return not self.errors


@report
def statements_page(request: HttpRequest) -> HttpResponseBase:
    """A month's statements."""
    now = timezone.now()
    this_month = Month.holding(local_day(now, company_zone()))
    asked = request.GET.copy()
    asked["month"] = asked.get("month") or str(this_month.previous)
    filters = StatementFilters(asked)
    context: dict[str, Any] = {"title": "Statements", "filters": filters, "months": _offered(this_month)}
    if not filters.is_valid():
        return page(request, "reports/statements.html", context)
    month = filters.cleaned_data["month"]
    monthly = MonthlyStatements(month, filters.cleaned_data["q"])
    sort, only_over = filters.cleaned_data["sort"], filters.cleaned_data["only_over"]
    listed = SortedStatements(monthly, sort, only_over)
    if not filters.check(listed):
        return page(request, "reports/statements.html", context)
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        every_row = listed.every_row() if sort or only_over else monthly.every_row()
        return statements_file(month, every_row, file_format)
    if sort or only_over:
        numbers, earlier, later = _page_from(listed, filters.cleaned_data["start"] or 0)
        context |= {"earlier": earlier, "later": later}
    else:
        numbers, earlier, later = _page_of(monthly, filters)
        context |= {"before": earlier, "after": later}
    rows, is_counted = monthly.rows(numbers), listed.may_be_counted
    channels = {channel for row in rows for channel in row.channels}
    with_sums = any(row.sum is not None for row in rows)
    if (earlier, later) != (None, None):
        # Each page has the heads of all of them. What came since they were asked for is on the page alone.
        channels |= channels_of(monthly, is_counted=is_counted)
        with_sums = with_sums or has_sums(monthly)
    labels = _labels(channels)
    closable = closable_from(month)
    context |= {
        "heads": heads_of(columns_of(labels, is_counted=is_counted, has_sums=with_sums), sort),
        "month": month,
        "closed": monthly.closed,
        "is_closed": monthly.is_closed,
        "is_over": now >= closable,
        "closable_from": closable,
        "corrects": not monthly.is_closed and StatementMonth.objects.filter(finished_at__isnull=False).exists(),
        "may_close": request.user.has_perm("sessions_app.close_month"),
        "channels": list(labels.values()),
        "rows": [
            {
                "row": row,
                "minutes": [(label, row.minutes_on(slug), row.channel_address(slug)) for slug, label in labels.items()],
            }
            for row in rows
        ],
        "has_sums": with_sums,
        # They are of everybody, and say nothing of those whom a search finds.
        "figures": _totals(monthly) if monthly.is_closed and not filters.is_narrowed else [],
        "definition": DEFINITION,
        "closed_definition": CLOSED_DEFINITION,
    }
    return page(request, "reports/statements.html", context)


def _labels(channels: set[str]) -> dict[str, str]:
    known = {channel.pk: str(channel) for channel in Channel.objects.filter(pk__in=channels)}
    return {channel: known.get(channel, channel or "No channel") for channel in sorted(channels)}


def _offered(this_month: Month) -> list[Month]:
    months = [this_month]
    while len(months) < MONTHS_OFFERED:
        months.append(months[-1].previous)
    return months


def _page_of(monthly: MonthlyStatements, filters: StatementFilters) -> tuple[list[int], int | None, int | None]:
    """The customers' ids of the page, and the ids beside which the pages around it begin."""
    found = page_beside(
        filters.cleaned_data["after"] or None,
        filters.cleaned_data["before"],
        PAGE_SIZE,
        lambda place, most: monthly.numbers(place or 0, most),
        monthly.numbers_before,
    )
    numbers = found.rows
    return numbers, numbers[0] if found.has_previous and numbers else None, numbers[-1] if found.has_next else None


def _page_from(listed: SortedStatements, start: int) -> tuple[list[int], int | None, int | None]:
    """The customers' ids of the page, and where the pages around it begin."""
    found = listed.numbers(start, PAGE_SIZE + 1)
    if start and not found:  # the list was longer when the link was made
        return _page_from(listed, 0)
    earlier = max(0, start - PAGE_SIZE) if start else None
    return found[:PAGE_SIZE], earlier, start + PAGE_SIZE if len(found) > PAGE_SIZE else None


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
    figures += _sums(lines.filter(of_month=month.first_day), "Sum", "Of the minutes over, as closed.")
    return [*figures, *_corrections_billed(lines.exclude(of_month=month.first_day))]


def _sums(lines: QuerySet[StatementLine], label: str, definition: str) -> list[Figure]:
    """A figure for each currency; none where no tier had a price."""
    totals = lines.filter(sum__isnull=False).order_by("currency").values_list("currency").annotate(Sum("sum"))
    return [Figure(label, money_words(total, currency), definition, "#list") for currency, total in totals]


def _corrections_billed(corrections: QuerySet[StatementLine]) -> list[Figure]:
    """Of months closed before; none where nothing was corrected."""
    total = corrections.aggregate(lines=Count("pk"), billed=Sum("billed_seconds", default=0))
    if not total["lines"]:
        return []
    lines = f"{total['lines']} line{pluralize(total['lines'])}"
    definition = f"Minutes of corrections of months closed before, billed with this one. {CLOSED_DEFINITION}"
    figure = Figure("Minutes of corrections", minutes_words(total["billed"]), definition, "#list", note=lines)
    return [figure, *_sums(corrections, "Sum of corrections", "Of months closed before, billed with this one.")]
