"""The admin's site: what every list and form of it takes from an address, whichever app brings it."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from allauth.account.decorators import secure_admin_login
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup, DisallowedModelAdminToField
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.sites import AdminSite
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db.models import Field, QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from customers.labels import with_named_parts
from customers.years import with_checked_year

POPUPS = "admin/js/admin/RelatedObjectLookups.js"
LONGEST_SEARCH = 255
MOST_WORDS = 20
MOST_VALUES = 10
# How home lists the apps; one that is not named here comes before the last.
OWN_APPS, LAST_APPS = ("customers", "sessions_app", "automations"), ("auth", "config")

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class RefusedAddress(SuspiciousOperation):
    """An address asks for what its page does not offer; the text is for whoever sent it."""


class DeclaredList(ChangeList):
    """A list that filters by what it declares alone: its filters, its dates, and the look-ups of our own links.

    Django's takes any look-up on a column. By `…__startswith` or `__regex` somebody could spell out, letter by letter,
    a column that they may not see; and no time limit ends a regular expression on SQLite.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        for name, values in self.get_filters_params().items():
            if len(values) > MOST_VALUES:
                raise RefusedAddress(f"Filter by {MOST_VALUES} values of “{name[:100]}” at most.")
        found = super().get_filters(request)
        days = {f"{self.date_hierarchy}__gte", f"{self.date_hierarchy}__lt"} if self.date_hierarchy else set()
        declared = days.union(getattr(self.model_admin, "linked_lookups", ()))
        for name in found[2]:
            if name not in declared:
                raise RefusedAddress(f"This list has no filter “{name[:100]}”.")
        return found


class GuardedAdmin(ModelAdmin):
    """Stands before every admin class of the site, whose `linked_lookups` are those that other pages' links use."""

    @property
    def media(self) -> Media:
        """Without the script for windows that add and change what a field points to.

        No form of ours opens any, and browsers are about to drop the event that it waits for.
        """
        given: Any = super().media
        return Media(css=given._css, js=[script for script in given._js if script != POPUPS])

    def get_urls(self) -> list[Any]:
        """Without the address of an object that Django's admin had before 1.9: it leads strangers on, too."""
        return [url for url in super().get_urls() if url.name]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return DeclaredList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Django would show the list to whoever sends a form that none of its pages has for them."""
        edits = bool(self.list_editable) and self.has_change_permission(request)
        if request.method == "POST" and not edits and not self.get_actions(request):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        if request.method == "POST":  # to which Django would show it as well
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return super().history_view(request, object_id, extra_context)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        _check_search(request.GET.get(SEARCH_VAR, ""))
        self._check_chosen(request)
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            raise RefusedAddress("The list has no such page, or a filter's value cannot be read.") from error

    def _check_chosen(self, request: HttpRequest) -> None:
        try:
            for value in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.clean(value, None)
        except ValidationError as error:
            raise RefusedAddress("What was chosen is not in this list. Choose again.") from error

    def formfield_for_dbfield(self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        return with_checked_year(with_named_parts(super().formfield_for_dbfield(db_field, request, **kwargs)))

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        try:
            return bool(super().to_field_allowed(request, to_field))
        except AttributeError:  # "+" names a relation without a name, which Django takes for a field
            return False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        # An address may say `_to_field=` without a value, which Django takes for a field's name.
        return super().get_object(request, object_id, from_field or None)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        _check_search(search_term)
        return super().get_search_results(request, queryset, search_term)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """None from the address as it stands; a class may make something of what it knows, such as a preset's name."""
        made = getattr(self, "initial_data", None)
        return made(request) if made else {}


def _check_search(term: str) -> None:
    if len(term) > LONGEST_SEARCH or len(term.split()) > MOST_WORDS:
        raise RefusedAddress(f"Search for {LONGEST_SEARCH} characters and {MOST_WORDS} words at most.")


class FrontdeskSite(AdminSite):
    # The navigation is every page's, and the lists beside an admin's page stand above it.
    enable_nav_sidebar = False

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        given = admin_class or ModelAdmin
        guarded = type(
            given.__name__, (GuardedAdmin, given), {"__module__": given.__module__, "__doc__": given.__doc__}
        )
        super().register(model_or_iterable, guarded, **options)

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """What an address may not ask for sends the person back, with words."""

        @wraps(view)
        def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                return view(request, *args, **kwargs)
            except RefusedAddress as refused:
                messages.error(request, str(refused))
            except (DisallowedModelAdminLookup, DisallowedModelAdminToField, IncorrectLookupParameters):
                messages.error(request, "The address asks for something that this page does not offer.")
            return HttpResponseRedirect(request.path)

        # Django answers any other method as if it were GET.
        return cast(View, require_http_methods(["GET", "HEAD", "POST"])(super().admin_view(answered, cacheable)))

    def login(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Led to the sign-in pages. Whoever signed in and is no staff, or no more, is told so."""
        return secure_admin_login(super().login)(request, extra_context)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return HttpResponseRedirect(reverse("account_change_password"))

    def app_index(self, request: HttpRequest, app_label: str, extra_context: Any = None) -> Any:
        if request.method == "POST":
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return super().app_index(request, app_label, extra_context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Our own apps first, accounts last."""
        return sorted(super().get_app_list(request, app_label), key=lambda app: _place_of(app["app_label"]))

    def get_urls(self) -> list[Any]:
        """Without the way from a content type to an object's own page: none of ours has one."""
        return [url for url in super().get_urls() if getattr(url, "name", "") != "view_on_site"]


def _place_of(app_label: str) -> int:
    if app_label in OWN_APPS:
        return OWN_APPS.index(app_label)
    return len(OWN_APPS) + (LAST_APPS.index(app_label) + 1 if app_label in LAST_APPS else 0)
