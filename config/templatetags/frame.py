"""The frame around every page of staff's: the one navigation, and the pages beside an admin's page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.changes.kinds import kinds_seen_by

register = template.Library()

SEE_SESSIONS = ("sessions_app.view_session",)
SEE_TIERS = ("customers.view_tier", "customers.change_tier")
SEE_CUSTOMERS = ("customers.view_customer", "customers.change_customer")


@dataclass(frozen=True)
class Place:
    """An entry of the navigation. `page` is the name of its own page, `holds` begin the names of those below it.

    Whoever has one of `permissions` sees it; without any, all staff do.
    """

    name: str
    page: str
    permissions: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()


PLACES = (
    Place("Home", "admin:index", holds=("home", "changes", "reports:overview")),
    Place("Live", "reports:live", SEE_SESSIONS),
    Place("Try", "reports:try", SEE_SESSIONS, ("reports:play",)),
    Place("Sessions", "reports:sessions", SEE_SESSIONS, ("reports:session", "admin:sessions_app_session_")),
    Place(
        "Customers",
        "reports:customers",
        SEE_SESSIONS,
        (
            "reports:customer",
            "reports:allow-more",
            "reports:change-tier",
            "reports:cancel-tier-change",
            "reports:add-top-up",
            "reports:erase",
            "reports:top-customers",
            "reports:upgrade-candidates",
            "reports:unknown-callers",
            "admin:customers_customer_",
            "admin:customers_customerchange_",
        ),
    ),
    # Whoever may see customers, and no sessions, has the admin's list of them.
    Place("Customers", "admin:customers_customer_changelist", SEE_CUSTOMERS, ("admin:customers_customer_",)),
    Place(
        "Tiers",
        "admin:customers_tier_changelist",
        SEE_TIERS,
        ("admin:customers_tier_", "admin:customers_tierchange_", "reports:replay", "reports:ask-for-replay"),
    ),
    Place("Statements", "reports:statements", SEE_SESSIONS, ("reports:statement", "reports:close-month")),
    Place(
        "Health",
        "reports:webhook",
        SEE_SESSIONS,
        ("health", "admin:sessions_app_webhookevent_", "admin:sessions_app_refusedrequests_"),
    ),
)
SETTINGS = "Settings"

# Where the reports show better what a list of the admin's shows too.
REPORTS = {
    "customers.customer": ("reports:customers", "What customers have used"),
    "customers.tier": ("reports:customers", "Customers near their limits"),
    "sessions_app.session": ("reports:sessions", "Sessions in the reports"),
    "sessions_app.dailyusage": ("reports:top-customers", "Top customers"),
    "sessions_app.webhookevent": ("reports:webhook", "Webhook health"),
    "sessions_app.refusedrequests": ("reports:webhook", "Webhook health"),
}


# The reports of one object of the admin's: words, a page, and the filter or part of the address that names the object
# by one of its fields.
OBJECT_REPORTS = {
    "customers.tier": (
        ("Its customers", "reports:customers", "tier", "slug"),
        ("Sessions", "reports:sessions", "tier", "slug"),
    ),
    "customers.channel": (("Sessions", "reports:sessions", "channel", "pk"),),
    "customers.agent": (("Sessions", "reports:sessions", "agent", "pk"),),
    "sessions_app.session": (("In the reports", "reports:session", "", "pk"),),
}


@dataclass(frozen=True)
class Entry:
    """A link of the navigation. `current` is as in `aria-current`, blank elsewhere."""

    name: str
    address: str
    current: str


@register.inclusion_tag("admin/_navigation.html", takes_context=True)
def navigation(context: Mapping[str, Any]) -> dict[str, Any]:
    request = context.get("request")
    return {"entries": [] if request is None else entries_for(request.user, _page_of(context))}


def _page_of(context: Mapping[str, Any]) -> str:
    """The name of the page; blank where there is none, as of an error's."""
    match = context["request"].resolver_match
    return "" if match is None or context.get("is_nowhere") else match.view_name


def entries_for(user: Any, page: str) -> list[Entry]:
    """The navigation of somebody on a page, by its name."""
    entries: list[Entry] = []
    for place in PLACES:
        is_known = any(entry.name == place.name for entry in entries)
        if is_known or (place.permissions and not any(map(user.has_perm, place.permissions))):
            continue
        entries.append(Entry(place.name, reverse(place.page), _current(place, page)))
    if user.get_all_permissions():
        # All that the admin has besides, which home lists.
        is_here = page.startswith("admin:") and not any(entry.current for entry in entries)
        entries.append(Entry(SETTINGS, f"{reverse('admin:index')}#settings", "true" if is_here else ""))
    return entries


def _current(place: Place, page: str) -> str:
    if page == place.page or (place.page == "admin:index" and page == "home"):
        return "page"
    return "true" if any(page == held or (held[-1] == "_" and page.startswith(held)) for held in place.holds) else ""


@register.inclusion_tag("_home_tabs.html", takes_context=True)
def home_tabs(context: Mapping[str, Any]) -> dict[str, Any]:
    """What lies beside home; nothing where that is nothing."""
    request = context["request"]
    here = _page_of(context)
    tabs = [Entry("Now", reverse("admin:index"), "page" if here == "home" else "")]
    if any(map(request.user.has_perm, SEE_SESSIONS)):
        tabs.append(Entry("Overview", reverse("reports:overview"), "page" if here == "reports:overview" else ""))
    if kinds_seen_by(request):
        tabs.append(Entry("Changes", reverse("changes"), "page" if here == "changes" else ""))
    return {"tabs": tabs if len(tabs) > 1 else []}


@register.inclusion_tag("admin/_siblings.html", takes_context=True)
def siblings(context: Mapping[str, Any]) -> dict[str, Any]:
    """The admin's lists beside the one that a page belongs to."""
    opts = context.get("opts")
    apps: Sequence[Mapping[str, Any]] = context.get("available_apps") or ()
    app = next((app for app in apps if opts is not None and app["app_label"] == opts.app_label), None)
    if opts is None or app is None or len(app["models"]) < 2:
        return {}
    return {"app": app, "here": opts.object_name, "is_list": _page_of(context).endswith("_changelist")}


@register.filter
def labelled(cells: Iterable[SafeString], headers: Sequence[Mapping[str, Any]]) -> list[SafeString]:
    """A row of one of the admin's lists, each cell with its column's head, but for the row's name and check box."""
    return [_labelled(cell, header) for cell, header in zip(cells, headers, strict=True)]


def _labelled(cell: SafeString, header: Mapping[str, Any]) -> SafeString:
    if not cell.startswith("<td") or "action-checkbox-column" in header.get("class_attrib", ""):
        return cell
    label = str(header["text"])
    return format_html('<td data-label="{}"{}', label[:1].upper() + label[1:], SafeString(cell[len("<td") :]))


@register.simple_tag(takes_context=True)
def report_of(context: Mapping[str, Any]) -> dict[str, str] | None:
    """The report that shows better what this list of the admin's shows, for whoever may see it."""
    found = REPORTS.get(context["cl"].opts.label_lower)
    if found is None or not any(map(context["request"].user.has_perm, SEE_SESSIONS)):
        return None
    return {"address": reverse(found[0]), "words": found[1]}


@register.simple_tag(takes_context=True)
def object_reports(context: Mapping[str, Any]) -> list[dict[str, str]]:
    """The reports of the object that a page of the admin's shows, for whoever may see them."""
    shown = context.get("original")
    if shown is None or not any(map(context["request"].user.has_perm, SEE_SESSIONS)):
        return []
    return [_object_report(shown, *report) for report in OBJECT_REPORTS.get(shown._meta.label_lower, ())]


def _object_report(shown: Any, words: str, page: str, query: str, field: str) -> dict[str, str]:
    value = getattr(shown, field)
    address = f"{reverse(page)}?{urlencode({query: value})}" if query else reverse(page, args=[value])
    return {"words": words, "address": address}
