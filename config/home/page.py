"""Home: the first steps until LiveTok's first begin, then how things stand today; below it, all that can be set."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from config.changes.kinds import kinds_seen_by
from config.changes.page import wanted_since
from config.changes.reading import lines_of
from config.changes.runs import units
from config.home.needs import needs, notices
from config.home.today import reach_context, read_today
from customers.zones import company_zone
from sessions_app.periods import ONE_DAY, local_day, starts_at
from sessions_app.reports.first_steps import has_begun, steps_context
from sessions_app.reports.frame.pages import page
from sessions_app.reports.webhook.channels import newest_of_all

MOST_CHANGES = 12


@admin.site.admin_view
@require_safe
def home(request: HttpRequest) -> HttpResponseBase:
    """What somebody has to know first, by what they may see."""
    if request.GET.get("fragment") == "steps":
        return render(request, "reports/_first_steps_now.html", steps_context(request))
    now, heard = timezone.now(), newest_of_all()
    yesterday = starts_at(local_day(now, company_zone()) - ONE_DAY, company_zone())
    may_see = request.user.has_perm("sessions_app.view_session")
    context: dict[str, Any] = {
        "title": "Home",
        "now": now,
        "may_see_sessions": may_see,
        "notices": notices(request),
        "app_list": admin.site.get_app_list(request),
    }
    if not has_begun(heard):
        context |= steps_context(request, heard)
    elif may_see:
        today = read_today(now)
        context |= {"today": today, "needs": needs(request, today, heard, yesterday)}
        context |= reach_context(request, heard, now)
    if kinds_seen_by(request):
        wanted = wanted_since(request, yesterday)
        moments = units(wanted, None, MOST_CHANGES + 1, older=True)
        changes = lines_of(moments, wanted.kinds)
        has_more = len(moments) > MOST_CHANGES or len(changes) > MOST_CHANGES
        context |= {"changes": changes[:MOST_CHANGES], "has_more_changes": has_more}
    return page(request, "home.html", context)
