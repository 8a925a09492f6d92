"""Everything that was changed: one page over the histories and the admin's log."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from config.changes.kinds import Kind, kinds_seen_by
from config.changes.places import BROKEN, EVERYBODY, FRONTDESK, KEYS, PEOPLE, PlaceField, Wanted, end_of_run
from config.changes.reading import changes_page, lines_of
from config.changes.runs import run_from
from customers.zones import company_zone
from sessions_app.periods import ONE_DAY, starts_at
from sessions_app.reports.frame.narrowing import NarrowingForm
from sessions_app.reports.frame.pages import page
from sessions_app.reports.frame.range_filters import day_field

MOMENTS_PER_PAGE = 50


class ChangeFilters(NarrowingForm):
    narrowed_by = ("person", "day", "kind")

    person = forms.ChoiceField(label="By", required=False)
    day = day_field("On")
    kind = forms.ChoiceField(label="What", required=False)
    after = PlaceField(required=False)
    before = PlaceField(required=False)
    run = PlaceField(required=False)

    def __init__(self, data: QueryDict, seen: list[Kind], user: Any) -> None:
        super().__init__(data, use_required_attribute=False, auto_id="filter-%s", label_suffix="")
        self.seen = seen
        # Those who may not see accounts have their own, and the names that stand beside the changes.
        known = User.objects.order_by("username") if user.has_perm("auth.view_user") else [user]
        people = [(str(one.pk), one.get_full_name() or one.get_username()) for one in known]
        self._offer("person", [
            ("", "People and API keys"),
            (PEOPLE, "People"),
            *people,
            (KEYS, "API keys and scripts"),
            (FRONTDESK, "Frontdesk itself"),
            (EVERYBODY, "Everybody"),
        ])  # fmt: skip
        self._offer("kind", [("", "All"), *((kind.slug, kind.name) for kind in seen)])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices
        field.error_messages["invalid_choice"] = "There is no “%(value)s”. Choose from the list."

    @property
    def set_by_links(self) -> list[forms.BoundField]:
        """What is wrong with them is told above the form."""
        return [self["after"], self["before"], self["run"]]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if not self.errors and values["run"] is not None and self.wanted().run is None:
            self.add_error("run", BROKEN)
        return values

    def wanted(self) -> Wanted:
        """With `run`, all that is alike the record at this place, and follows it with nothing else in between."""
        wanted, newest = self._wanted_of_all(), self.cleaned_data["run"]
        run = run_from(wanted, newest) if newest is not None else None
        if run is None:
            return wanted
        oldest = end_of_run(wanted, run, older=True)
        return replace(wanted, run=run, since=oldest.at, until=run.place.at + timedelta(microseconds=1))

    def _wanted_of_all(self) -> Wanted:
        values, zone = self.cleaned_data, company_zone()
        day = values["day"]
        return Wanted(
            [kind for kind in self.seen if values["kind"] in ("", kind.slug)],
            values["person"],
            starts_at(day, zone) if day else None,
            starts_at(day + ONE_DAY, zone) if day else None,
        )


def wanted_since(request: HttpRequest, since: datetime) -> Wanted:
    """What people have changed since then, of what somebody may see. Keys may change much more than they."""
    return Wanted(kinds_seen_by(request), PEOPLE, since=since)


@admin.site.admin_view
@require_safe
def changes(request: HttpRequest) -> HttpResponseBase:
    """By whom, when, what, and how it was before and after."""
    seen = kinds_seen_by(request)
    if not seen:
        raise PermissionDenied
    filters = ChangeFilters(request.GET, seen, request.user)
    context: dict[str, Any] = {"title": "Changes", "tab": "changes", "filters": filters}
    if not filters.is_valid():
        return page(request, "changes.html", context)
    wanted = filters.wanted()
    shown = changes_page(wanted, filters.cleaned_data["after"], filters.cleaned_data["before"], MOMENTS_PER_PAGE)
    context |= {
        "changes": lines_of(shown.rows, wanted.kinds),
        "has_records": bool(shown.rows),
        "before": shown.rows[0].newest if shown.has_previous and shown.rows else None,
        "after": shown.rows[-1].oldest if shown.has_next else None,
        "today": timezone.localdate(),
        "yesterday": timezone.localdate() - ONE_DAY,
    }
    return page(request, "changes.html", context)
