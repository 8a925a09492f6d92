"""Who called and was no customer."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Max, Q
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from customers.masking import shown_number
from customers.models import Customer
from sessions_app.database.replica import steadily
from sessions_app.models import DENIED, Session
from sessions_app.reports.customers import MOST_RANKED
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import Figure, number_words, sessions_address
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.range_filters import WITHOUT, RangeFilters
from sessions_app.reports.frame.ranges import PRESETS

UNKNOWN_DEFINITION = (
    "Sessions that started within the range and whose caller was no customer: the policy denied them, or they gave "
    "neither number nor id. A caller whom the policy serves becomes a customer at the first event instead."
)
UNKNOWN_COLUMNS = ("Number", "LiveTok's customer id", "Sessions", "Denied", "Last")


@report
def unknown_callers(request: HttpRequest) -> HttpResponseBase:
    """Numbers and ids that called and were no customer's."""
    filters = RangeFilters(request.GET, timezone.now())
    context: dict[str, Any] = {"title": "Unknown callers", "tab": "unknown", "filters": filters, "presets": PRESETS}
    if not filters.is_valid():
        return page(request, "reports/unknown_callers.html", context)
    found = Session.objects.filter(
        customer__isnull=True, started_at__gte=filters.range.starts_at, started_at__lt=filters.range.ends_before
    )
    if not filters.cleaned_data["test"]:
        found = found.filter(is_test=False)
    rows = (
        found.order_by()
        .values("phone_key", "external_id")
        .annotate(sessions=Count("pk"), denied=Count("pk", filter=DENIED), last=Max("started_at"))
        .order_by("-sessions", "-last", "phone_key", "external_id")
    )
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        return export("unknown-callers", file_format, UNKNOWN_COLUMNS, _unknown_rows(rows))
    totals = found.aggregate(sessions=Count("pk"), unnamed=Count("pk", filter=Q(phone_key="", external_id="")))
    new = Customer.objects.filter(
        source=Customer.Source.FIRST_CONTACT,
        created_at__gte=filters.range.starts_at,
        created_at__lt=filters.range.ends_before,
    ).count()
    context |= {
        "range": filters.range,
        "lines": [_line(row, filters) for row in rows[:MOST_RANKED]],
        "most": MOST_RANKED,
        "figures": [
            Figure(
                "Sessions of unknown callers", number_words(totals["sessions"]), UNKNOWN_DEFINITION, _address(filters)
            ),
            Figure(
                "Without number or id",
                number_words(totals["unnamed"]),
                "Those whose caller withheld the number and gave no id. Limits per caller cannot apply to them.",
                _address(filters, phone=WITHOUT, external=WITHOUT),
            ),
            Figure(
                "New customers by first contact",
                number_words(new),
                "Customers who were made within the range because an unknown caller was served.",
                _new_customers_address(filters) if request.user.has_perm("customers.view_customer") else "",
            ),
        ],
    }
    return page(request, "reports/unknown_callers.html", context)


def _unknown_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for row in steadily(lambda: list(rows)):
        yield (
            shown_number(row["phone_key"]),
            row["external_id"],
            row["sessions"],
            row["denied"],
            timezone.localtime(row["last"]),
        )


def _line(row: Mapping[str, Any], filters: RangeFilters) -> dict[str, Any]:
    shown = {**row, "caller": shown_number(row["phone_key"])}
    if shown["caller"] != row["phone_key"]:
        return shown  # the addresses would have the number
    caller = {"phone": row["phone_key"] or WITHOUT, "external": row["external_id"] or WITHOUT}
    address = _address(filters, **caller)
    return {**shown, "address": address, "denied_address": _address(filters, **caller, state="denied")}


def _address(filters: RangeFilters, **caller: str) -> str:
    days = {"first_day": filters.range.first_day, "last_day": filters.range.last_day}
    return sessions_address(**days, unknown=True, **caller, test=filters.cleaned_data["test"])


def _new_customers_address(filters: RangeFilters) -> str:
    """The admin's list of just these customers."""
    query = {
        "source__exact": Customer.Source.FIRST_CONTACT.value,
        "created_at__gte": filters.range.starts_at.isoformat(),
        "created_at__lt": filters.range.ends_before.isoformat(),
    }
    return f"{reverse('admin:customers_customer_changelist')}?{urlencode(query)}"
