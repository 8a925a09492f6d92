"""What several admin pages share: their frame, history with before and after, read-only pages, edits too late."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import IntegrityError, models, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse

from customers.admin.additions import AddedOnceAdmin
from customers.admin.chosen import chosen_before, chosen_keys, packed
from customers.editing import kinds_that_use
from customers.history import Entry, history_of, history_points
from customers.search.finding import rows_named

ENTRIES_PER_PAGE = 50
MOST_COUNTED = 10_000
# Each is asked about and shown before.
MOST_DELETED = 1000
MOST_REASONS = 20


def admin_page(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, of: admin.ModelAdmin | None = None
) -> TemplateResponse:
    """A page of our own in the admin's frame. `of`: the model that it belongs to."""
    site = of.admin_site if of else admin.site
    request.current_app = site.name
    frame = site.each_context(request) | ({"opts": of.opts} if of else {})
    return TemplateResponse(request, template, frame | dict(context))


class HistoryAdmin(AddedOnceAdmin):
    """A model whose history page shows every field before and after; `history_parts` are the rows that belong to it."""

    def history_points(self) -> dict[str, int]:
        return history_points(self.model, self.history_parts)

    def changes_since(self, pk: Any, points: Mapping[str, int]) -> list[Entry]:
        return history_of(self.model, pk, self.history_parts, after=points)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            pk = self.model._meta.pk.clean(unquote(object_id), None)
        except ValidationError:
            raise Http404 from None
        entries = history_of(self.model, pk, self.history_parts)
        obj = self.get_object(request, str(pk))
        if obj is None and not entries:
            raise Http404
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        pages = Paginator(entries, ENTRIES_PER_PAGE)
        page = pages.get_page(request.GET.get(PAGE_VAR))
        context = {
            "title": f"History: {obj or entries[-1].rows[0].what}",
            "object": obj,
            "page": page,
            "page_range": pages.get_elided_page_range(page.number),
            "page_var": PAGE_VAR,
            **(extra_context or {}),
        }
        return admin_page(request, "admin/history.html", context, of=self)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """The forms check everything first; what somebody else saved in the meantime is found only on saving."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except ValidationError as error:
            problem = " ".join(error.messages)
        except IntegrityError:
            problem = "Somebody else changed the same rows at this moment."
        self.message_user(request, f"Nothing was saved. {problem} Please look again and repeat.", messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())


class KeptWhereUsedAdmin(HistoryAdmin):
    """A model whose objects stay while others use them: its pages say why, and offer what to do instead.

    `works_instead` are actions of the list, by their names, with a word for the button of each.
    """

    instead_of_deleting = ""
    works_instead: Mapping[str, str] = {}

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Without the button that deletes, where that could only be refused."""
        obj = kwargs.get("obj")
        if obj is not None and obj.pk is not None and next(kinds_that_use(obj), None):
            context["show_delete"] = False
        return super().render_change_form(request, context, *args, **kwargs)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """With the key locked: what is storing a use of the object holds it, and is waited for."""
        request._locks_key = True  # type: ignore[attr-defined]
        context = {**(extra_context or {}), **self.offers(request)}
        try:
            return super().delete_view(request, object_id, context)
        except IntegrityError:
            request._is_used = True  # type: ignore[attr-defined]
            return super().delete_view(request, object_id, context)

    def get_actions(self, request: HttpRequest) -> Any:
        actions: Any = super().get_actions(request)
        if "delete_selected" in actions:
            _, name, description = actions["delete_selected"]
            actions["delete_selected"] = (_delete_together, name, description)
        return actions

    def response_action(self, request: HttpRequest, queryset: models.QuerySet[Any], *args: Any, **kwargs: Any) -> Any:
        keys = chosen_before(request)
        if keys is not None:
            queryset = self.get_queryset(request).filter(pk__in=keys)
        return super().response_action(request, queryset, *args, **kwargs)

    def offers(self, request: HttpRequest) -> dict[str, Any]:
        offered = self.works_instead if self.has_change_permission(request) else {}
        return {"works_instead": offered.items()}

    def get_deleted_objects(self, objs: Sequence[Any] | models.QuerySet[Any], request: HttpRequest) -> Any:
        """Django collects all that uses an object before it refuses, and sessions may be millions."""
        kind, kinds = str(self.opts.verbose_name).capitalize(), str(self.opts.verbose_name_plural)
        if isinstance(objs, models.QuerySet) and objs.count() > MOST_DELETED:
            text = f"{kinds.capitalize()}: at most {MOST_DELETED:,} are deleted at once. Choose fewer of them. "
            return [], {}, set(), [text + self.instead_of_deleting]
        reasons: list[str] = []
        for obj in objs:
            if len(reasons) == MOST_REASONS:
                reasons.append(f"Others of these {kinds} may be used too.")
                break
            if used := list(kinds_that_use(obj)):
                text = f"{kind} {obj} is used by {' and '.join(used)}, so it cannot be deleted. "
                reasons.append(text + self.instead_of_deleting)
        if not reasons and getattr(request, "_is_used", False):
            name = kind if len(objs) == 1 else kinds.capitalize()
            reasons = [f"{name}: something came to use what you chose at this moment. {self.instead_of_deleting}"]
        return ([], {}, set(), reasons) if reasons else super().get_deleted_objects(objs, request)


def _delete_together(model_admin: Any, request: HttpRequest, chosen: models.QuerySet[Any]) -> Any:
    """Django's action, all or nothing: between its check and its deletion, nobody comes to use one of them."""
    try:
        with transaction.atomic():
            if request.POST.get("post"):
                keys = list(chosen.order_by("pk").values_list("pk", flat=True)[: MOST_DELETED + 1])
                locked = chosen.model._base_manager.select_for_update().filter(pk__in=keys).order_by("pk")
                list(locked.values_list("pk"))
            response = delete_selected(model_admin, request, chosen)
    except IntegrityError:
        request._is_used = True  # type: ignore[attr-defined]
        response = delete_selected(model_admin, request, chosen)
    if isinstance(response, TemplateResponse) and response.context_data is not None:
        keys = chosen_keys(request, chosen)
        shown = {"chosen": packed(keys), "one": keys[0] if keys else "", "checkbox": ACTION_CHECKBOX_NAME}
        response.context_data |= shown | model_admin.offers(request)
    return response


class ReadOnlyAdmin(admin.ModelAdmin):
    """A model that staff look at and never edit."""

    change_form_template = "admin/read_only.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class FoldedSearchAdmin(admin.ModelAdmin):
    """A model of few rows, whose list and fields find them by words, as all searches do (`customers.search`)."""

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        return rows_named(queryset, search_term, *self.search_fields), False


class ShortPaginator(Paginator):
    """Counts no further than pages are looked at: an exact count of millions of rows takes seconds."""

    @property
    def count(self) -> int:
        return self._count

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows: Any = self.object_list
        self._count = rows.order_by()[:MOST_COUNTED].count()


def counted(count: int, noun: str) -> str:
    """Such as "1 customer" and "2 customers"."""
    return f"{count} {noun}{pluralize(count)}"


def without_related_links(field: forms.Field | None) -> forms.Field | None:
    """The field without the icons that add, change and delete what it points to."""
    if field is not None:
        for action in ("add", "change", "delete", "view"):
            setattr(field.widget, f"can_{action}_related", False)
    return field
