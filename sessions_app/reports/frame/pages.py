"""What every report page shares: who may read it, and the chrome around it."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from customers.downloads import TooManyDownloads, say_too_many
from customers.lengths import LONGEST_TEXT, too_long
from customers.zones import company_zone
from sessions_app.database.replica import current_reading, reading_from, reading_of_reports, steadily
from sessions_app.reports.frame.export import MOST_XLSX_ROWS, TooManyRows
from sessions_app.reports.frame.own_writes import has_just_written
from sessions_app.sums.pruned import is_month_whole, sessions_since

View = Callable[..., HttpResponseBase]

LACKS = "the replica for reports has not got it so far"


def primary_report_for(*permissions: str) -> Callable[[View], View]:
    """A page for staff who have one of the permissions; others are asked to sign in, or told what they lack."""

    def decorator(view: View) -> View:
        @require_safe
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not any(map(request.user.has_perm, permissions)):
                return page(request, "reports/no_access.html", {"title": "Reports"}, status=403)
            if names := too_long(request.GET.lists()):
                return _refuse_long(request, names)
            try:
                return view(request, *args, **kwargs)
            except TooManyRows:
                context = {"title": "Too many rows for XLSX", "most": MOST_XLSX_ROWS}
                return page(request, "reports/too_many_rows.html", context, status=400)
            except TooManyDownloads:
                return say_too_many(request)

        # Outermost: who has not signed in is asked to, before anything is said about permissions.
        return admin.site.admin_view(checked)

    return decorator


def report_for(*permissions: str) -> Callable[[View], View]:
    """The same, and it reads the replica for reports, where there is one."""

    def decorator(view: View) -> View:
        @wraps(view)
        def from_replica(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return _from_replica(request, lambda: view(request, *args, **kwargs))

        return primary_report_for(*permissions)(from_replica)

    return decorator


# For staff who may see sessions; the second is for a page that is about the primary, or about this moment.
report = report_for("sessions_app.view_session")
report_of_primary = primary_report_for("sessions_app.view_session")


def _from_replica(request: HttpRequest, make: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """The page, made again from the primary where the replica fails or lacks what a link led to."""
    reading = reading_of_reports(has_just_written=has_just_written(request))
    with reading_from(reading):
        try:
            return steadily(make)
        except Http404:
            if reading is None or not reading.is_of_replica:
                raise
            reading.go_on_from_primary(LACKS)
        return make()


def action(*permissions: str) -> Callable[[View], View]:
    """A page that changes something, for staff who may see sessions and have all permissions. It reads the primary."""

    def decorator(view: View) -> View:
        @require_http_methods(["GET", "HEAD", "POST"])
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            needed = ["sessions_app.view_session", *permissions]
            if lacking := [permission for permission in needed if not request.user.has_perm(permission)]:
                context = {"title": "Reports", "permission": lacking[-1]}
                return page(request, "reports/no_access.html", context, status=403)
            if names := too_long([*request.GET.lists(), *request.POST.lists()]):
                return _refuse_long(request, names)
            return view(request, *args, **kwargs)

        return admin.site.admin_view(checked)

    return decorator


def _refuse_long(request: HttpRequest, names: list[str]) -> HttpResponse:
    """Before any filter looks at it: what takes a moment for a short text may take minutes for a long one."""
    shown = ", ".join(f"“{name[:40]}”" for name in names[:5])
    return page(
        request, "reports/too_long.html", {"title": "Too long", "names": shown, "longest": LONGEST_TEXT}, status=400
    )


def _gone_before(context: dict[str, Any]) -> datetime | None:
    """Where the page is about days whose sessions were deleted by age: from when on they are there."""
    since = sessions_since() if settings.SESSION_RETENTION_DAYS else None
    if since is None:
        return None
    shown, month = context.get("range"), context.get("month")
    if shown is not None:
        return since if shown.starts_at < since else None
    first_day = getattr(month, "first_day", None)
    return since if first_day is not None and not is_month_whole(first_day, since) else None


def page(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """A report page. It has its own navigation in place of the admin's sidebar.

    So it goes without what `each_context` puts together for that: every model that the member of staff may see.
    """
    chrome = {
        "has_permission": admin.site.has_permission(request),
        "is_popup": False,
        "is_nav_sidebar_enabled": False,
        "time_zone": company_zone().key,
        "reading": current_reading(),
        "gone_before": _gone_before(context),
    }
    return render(request, template, {**chrome, **context}, status=status)
