"""Closing a month: staff are asked first."""

from datetime import datetime

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils import timezone

from customers.zones import company_zone
from sessions_app.billing.closing import MonthIsClosed, MonthIsGone, MonthNotOver, closable_from, close_month
from sessions_app.billing.statements import Month, customers_of
from sessions_app.models import DailyUsage, Session, StatementMonth
from sessions_app.reports.frame.figures import query_of
from sessions_app.reports.frame.pages import action, page
from sessions_app.reports.statements import CLOSED_DEFINITION, StatementFilters

MONTHS_BEFORE = 12


@action("sessions_app.close_month")
def close(request: HttpRequest) -> HttpResponseBase:
    """Ask, then close a month."""
    filters = StatementFilters(request.POST if request.method == "POST" else request.GET)
    month = filters.cleaned_data["month"] if filters.is_valid() else None
    if month is None:
        if request.method == "POST":
            messages.error(request, "Nothing was closed: give the month to close, such as 2026-03.")
        # Where the field itself says what is wrong with it.
        return HttpResponseRedirect(reverse("reports:statements") + query_of(month=filters.data.get("month")))
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
        "open_before": _open_before(month),
        "address": address,
        "closed_definition": CLOSED_DEFINITION,
    }
    return page(request, "reports/close_month.html", context)


def _open_before(month: Month) -> list[Month]:
    """Of the year before it, the months with sessions that are not closed, the oldest first."""
    before = [month.previous]
    while len(before) < MONTHS_BEFORE:
        before.append(before[-1].previous)
    closed = set(
        StatementMonth.objects.filter(first_day__gte=before[-1].first_day, finished_at__isnull=False).values_list(
            "first_day", flat=True
        )
    )
    used = DailyUsage.objects.all()
    return [
        one
        for one in reversed(before)
        if one.first_day not in closed and used.filter(day__gte=one.first_day, day__lt=one.after).exists()
    ]


def _close(request: HttpRequest, month: Month) -> None:
    assert isinstance(request.user, User)
    try:
        closed = close_month(month, request.user)
    except MonthNotOver:
        messages.error(request, f"{month.first_day:%B %Y} is not over for every customer yet, so it stays open.")
    except MonthIsGone:
        messages.error(request, f"{month.first_day:%B %Y} stays open: some of its sessions were deleted by age.")
    except MonthIsClosed:
        messages.info(request, f"{month.first_day:%B %Y} was closed already; its statements stay as they are.")
    else:
        lines = closed.lines.filter(of_month=month.first_day).count()
        corrections = closed.lines.count() - lines
        words = f"{lines} statement{pluralize(lines)}"
        if corrections:
            words += f", and {corrections} correction{pluralize(corrections)} of months closed before"
        messages.success(request, f"{month.first_day:%B %Y} is closed: {words}.")


def _still_open(month: Month, now: datetime) -> int:
    """Sessions of about the month whose end may still come; a hint, by the company's days."""
    zone = company_zone()
    before = month.last_instant(zone)
    found = Session.objects.in_state(Session.State.OPEN, now)
    return found.filter(is_test=False, customer__isnull=False, started_at__lte=before).count()
