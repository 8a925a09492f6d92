"""Who uses most, with each one's share."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Sum
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from customers.models import Customer
from sessions_app.models import DailyUsage
from sessions_app.reports.customers import MOST_RANKED
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import number_words, share_words, used_address
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.range_filters import RangeFilters
from sessions_app.reports.frame.ranges import PRESETS

TOP_DEFINITION = (
    "Minutes of sessions that ended, on the customers' own days within the range, split at their midnight. The share "
    "is of all customers' minutes; the cumulative share is that of this customer and all above. Test traffic, callers "
    "who are no customers and denied sessions count nothing."
)
TOP_COLUMNS = ("Rank", "Customer", "External id", "Tier", "Sessions", "Minutes", "Share (%)", "Cumulative share (%)")


@dataclass(frozen=True)
class TopLine:
    rank: int
    customer: Customer
    sessions: int
    seconds: int
    total_seconds: int
    above_seconds: int
    most_seconds: int
    address: str
    minutes_address: str

    @property
    def share(self) -> str:
        return share_words(self.seconds, self.total_seconds)

    @property
    def cumulative(self) -> str:
        return share_words(self.above_seconds + self.seconds, self.total_seconds)

    @property
    def bar(self) -> float:
        """Against the first."""
        return round(100 * self.seconds / self.most_seconds, 1)

    @property
    def minutes(self) -> str:
        return number_words(self.seconds / 60, 1)

    def as_row(self) -> Row:
        def percent(part: int) -> float | None:
            return round(100 * part / self.total_seconds, 2) if self.total_seconds else None

        return (
            self.rank,
            str(self.customer),
            self.customer.external_id or "",
            str(self.customer.tier),
            self.sessions,
            round(self.seconds / 60, 2),
            percent(self.seconds),
            percent(self.above_seconds + self.seconds),
        )


class TopFilters(RangeFilters):
    default_period = "month"


@report
def top_customers(request: HttpRequest) -> HttpResponseBase:
    """Who uses most, with each one's share."""
    filters = TopFilters(request.GET, timezone.now())
    context: dict[str, Any] = {"title": "Top customers", "tab": "top", "filters": filters, "presets": PRESETS}
    if not filters.is_valid():
        return page(request, "reports/top_customers.html", context)
    days = DailyUsage.objects.filter(day__gte=filters.range.first_day, day__lte=filters.range.last_day)
    total = days.aggregate(seconds=Sum("seconds", default=0), sessions=Sum("sessions", default=0))
    lines = _top_lines(filters, days, total["seconds"])
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        return export("top-customers", file_format, TOP_COLUMNS, (line.as_row() for line in lines))
    context |= {
        "range": filters.range,
        "lines": lines,
        "total_address": used_address(filters.range.first_day, filters.range.last_day, minutes=True),
        "total_minutes": number_words(total["seconds"] / 60),
        "definition": TOP_DEFINITION,
    }
    return page(request, "reports/top_customers.html", context)


def _top_lines(filters: RangeFilters, days: QuerySet[DailyUsage], total_seconds: int) -> list[TopLine]:
    ranked = list(
        days.order_by()
        .values("customer")
        .annotate(sum_seconds=Sum("seconds"), sum_sessions=Sum("sessions"))
        .filter(sum_seconds__gt=0)
        .order_by("-sum_seconds", "customer")[:MOST_RANKED]
    )
    by_pk = (
        Customer.objects.select_related("tier").prefetch_related("numbers").in_bulk([row["customer"] for row in ranked])
    )
    lines, above = [], 0
    for rank, row in enumerate(ranked, start=1):
        addresses = [
            used_address(filters.range.first_day, filters.range.last_day, customer=row["customer"], minutes=minutes)
            for minutes in (False, True)
        ]
        customer = by_pk[row["customer"]]
        most = ranked[0]["sum_seconds"]
        lines.append(
            TopLine(rank, customer, row["sum_sessions"], row["sum_seconds"], total_seconds, above, most, *addresses)
        )
        above += row["sum_seconds"]
    return lines
