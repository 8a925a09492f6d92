"""Who comes close to a daily limit again and again."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from customers.models import Customer
from sessions_app.database.replica import steadily
from sessions_app.reports.customers import (
    CANDIDATE_AT_LEAST,
    CANDIDATE_DAYS,
    CANDIDATE_DEFINITION,
    CANDIDATE_SHARE,
    EXPORTED_AT_ONCE,
    MOST_RANKED,
    customer_lines,
)
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import full_days_address
from sessions_app.reports.frame.pages import page, report
from sessions_app.usage.shares import full_days

CANDIDATE_COLUMNS = ("Customer", "External id", "Tier", f"Days of {CANDIDATE_DAYS}", "Used today (%)")


@report
def upgrade_candidates(request: HttpRequest) -> HttpResponseBase:
    """Who comes close to a daily limit again and again."""
    now = timezone.now()
    days = full_days(now, days=CANDIDATE_DAYS, share=CANDIDATE_SHARE, at_least=CANDIDATE_AT_LEAST)
    ranked = sorted(days, key=lambda pk: (-days[pk], pk))
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        return export("upgrade-candidates", file_format, CANDIDATE_COLUMNS, _candidate_rows(ranked, days, now))
    # Unread: `customer_lines` reads them by their ids, with all that it needs.
    lines = customer_lines([Customer(pk=pk) for pk in ranked[:MOST_RANKED]], now)
    context = {
        "title": "Upgrade candidates",
        "tab": "candidates",
        "lines": [
            {"line": line, "days": days[line.customer.pk], "address": full_days_address(line.customer.pk, "close")}
            for line in lines
        ],
        "total": len(ranked),
        "of_days": CANDIDATE_DAYS,
        "definition": CANDIDATE_DEFINITION,
    }
    return page(request, "reports/upgrade_candidates.html", context)


def _candidate_rows(ranked: Sequence[int], days: Mapping[int, int], now: datetime) -> Iterator[Row]:
    ids = iter(ranked)
    while some := list(islice(ids, EXPORTED_AT_ONCE)):
        for line in steadily(partial(customer_lines, [Customer(pk=pk) for pk in some], now)):
            customer = line.customer
            yield (
                str(customer),
                customer.external_id or "",
                str(customer.tier),
                days[customer.pk],
                line.day.percent,
            )
