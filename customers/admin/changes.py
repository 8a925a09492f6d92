"""Drafts and scheduled changes: limits of a tier before they hold, and customers' tiers from a date on."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.admin.pages import HistoryAdmin, counted
from customers.admin.tiers import TierLimitInline
from customers.editing import lock_customer, lock_tier
from customers.history import Part, moment_words
from customers.masking import may_see_numbers, shown_text
from customers.models import Customer, CustomerChange, Tier, TierChange, TierChangeLimit
from customers.models.changes import Change
from customers.scheduling import IN_FORCE, cancel, check_schedule, compared, put_into_force, start_draft

MAY_CHANGE_TIERS, MAY_CHANGE_CUSTOMERS = "customers.change_tier", "customers.change_customer"
NOW_OR_THEN = "Empty this to put it into force now, or press Save to have it come into force then."
STATES: dict[str | None, dict[str, Any]] = {
    "draft": {"starts_at": None},
    "scheduled": {"starts_at__isnull": False, "in_force_at": None},
}


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("draft", "draft"), ("scheduled", "scheduled"), ("in_force", "has come into force")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        state = self.value()
        if state == "in_force":
            return queryset.filter(in_force_at__isnull=False)
        return queryset.filter(**STATES.get(state, {}))


class ChangeAdmin(HistoryAdmin):
    """What both kinds have in common. Made on other pages; deleted until it has come, which is to cancel it."""

    may_change = MAY_CHANGE_TIERS
    may_view = "customers.view_tier"
    actions = None
    date_hierarchy = None

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(self.may_view) or request.user.has_perm(self.may_change)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(self.may_change)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        obj = kwargs.get("obj")
        if obj is not None and obj.has_come:
            context["show_delete"] = False
        return super().render_change_form(request, context, *args, **kwargs)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        found = self.get_object(request, object_id)
        if found is not None and found.has_come and self.has_delete_permission(request):
            return self._refused(request, found)
        title = "Delete this draft?" if getattr(found, "starts_at", 0) is None else "Cancel this change?"
        try:
            return super().delete_view(request, object_id, {**(extra_context or {}), "title": title})
        except ValidationError:  # it has come at this moment
            return self._refused(request, found)

    def _refused(self, request: HttpRequest, change: Any) -> HttpResponse:
        whose = "tier" if isinstance(change, TierChange) else "customer"
        text = IN_FORCE.format(moment=moment_words(change.starts_at), whose=whose)
        self.message_user(request, f"Nothing was changed. {text}", messages.ERROR)
        return HttpResponseRedirect(reverse(f"admin:customers_{self.opts.model_name}_change", args=[change.pk]))

    def delete_model(self, request: HttpRequest, obj: Change) -> None:
        cancel(obj)

    @admin.display(description="note")
    def note_masked(self, change: Change) -> str:
        return shown_text(change.note) or "–"

    @admin.display(description="state", ordering="starts_at")
    def state(self, change: Change) -> str:
        if change.starts_at is None:
            return "Draft: holds for nobody"
        return f"{'In force since' if change.has_come else 'Scheduled for'} {moment_words(change.starts_at)}"


class TierChangeForm(forms.ModelForm):
    def clean_starts_at(self) -> Any:
        starts_at = self.cleaned_data["starts_at"]
        if starts_at is not None:
            if "_now" in self.data:
                raise ValidationError(NOW_OR_THEN)
            try:
                check_schedule(self.instance, starts_at)
            except ValidationError as error:
                raise ValidationError(error.messages) from error
        return starts_at


class ChangeLimitInline(TierLimitInline):
    model = TierChangeLimit  # type: ignore[assignment]
    follows = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[TierChangeLimit]:
        return super().get_queryset(request).filter(before=False)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("customers.view_tier") or request.user.has_perm(MAY_CHANGE_TIERS)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or obj.starts_at is None) and request.user.has_perm(MAY_CHANGE_TIERS)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


@admin.register(TierChange)
class TierChangeAdmin(ChangeAdmin):
    form = TierChangeForm
    change_form_template = "admin/customers/tierchange/change_form.html"
    list_display = ["tier", "state", "limits_in_words", "note_masked", "author"]
    list_filter = [StateFilter]
    list_select_related = ["tier", "author"]
    inlines = [ChangeLimitInline]
    history_parts = [Part(TierChangeLimit, "change")]
    readonly_fields = ["tier_link", "state", "comparison", "touches", "note_masked", "author", "created_at"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        note = "note" if may_see_numbers() else "note_masked"
        about = (None, {"fields": ["tier_link", "state", "touches", "comparison", note, ("author", "created_at")]})
        when = ("From when it holds", {"fields": ["starts_at"]})
        return [about, when] if obj is None or obj.starts_at is None else [about]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or obj.starts_at is None) and request.user.has_perm(MAY_CHANGE_TIERS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TierChange]:
        return super().get_queryset(request).select_related("tier", "author").prefetch_related("limits__agent")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The tier is locked first, as wherever both are."""
        found = super().get_object(request, object_id, from_field)
        if found is not None and request.method == "POST" and transaction.get_connection().in_atomic_block:
            lock_tier(Tier.objects.filter(pk=found.tier_id))
            return super().get_object(request, object_id, from_field)
        return found

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """A draft that is none any more, as by a double click: what became of it, rather than that one may not."""
        if request.method == "POST" and object_id is not None and request.user.has_perm(MAY_CHANGE_TIERS):
            found = self.get_object(request, object_id)
            if found is not None and found.starts_at is not None:
                self.message_user(
                    request, f"Nothing was saved: it is no draft any more. {self.state(found)}.", messages.WARNING
                )
                return HttpResponseRedirect(reverse("admin:customers_tierchange_change", args=[found.pk]))
        return super().changeform_view(request, object_id, form_url, extra_context)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "starts_at":
            kwargs["help_text"] = f"In {settings.TIME_ZONE}. Blank: it stays a draft, which holds for nobody."
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: TierChange, form: Any, change: bool) -> None:
        if "starts_at" in form.changed_data:  # whoever schedules it is whom the tier's history names
            obj.author = cast(User, request.user)
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if "_now" in request.POST:
            draft = TierChange.objects.select_related("tier").get(pk=form.instance.pk)
            put_into_force(draft, draft.tier, cast(User, request.user))

    def response_change(self, request: HttpRequest, obj: TierChange) -> HttpResponse:
        if "_now" in request.POST:
            self.message_user(request, f"{obj.tier} has these limits from now on.", messages.SUCCESS)
            return HttpResponseRedirect(reverse("admin:customers_tier_change", args=[obj.tier_id]))
        text = f"{obj.tier} has these limits {obj.from_when}." if obj.starts_at else "The draft is saved."
        self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:customers_tierchange_change", args=[obj.pk]))

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        self.message_user(request, f"{obj_display}: cancelled.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:customers_tierchange_changelist"))

    # Columns

    @admin.display(description="limits")
    def limits_in_words(self, change: TierChange) -> str:
        return "; ".join(str(row) for row in change.shown_limits) or "unlimited"

    @admin.display(description="tier")
    def tier_link(self, change: TierChange) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:customers_tier_change", args=[change.tier_id]), change.tier
        )

    @admin.display(description="whom it touches")
    def touches(self, change: TierChange) -> SafeString:
        url = reverse("admin:customers_customer_changelist")
        people = counted(Customer.objects.filter(tier=change.tier_id).count(), "customer")
        text = '<a href="{}?tier__id__exact={}">{}</a> on the tier now. An override stays as it is.'
        return format_html(text, url, change.tier_id, people)

    @admin.display(description="before and after")
    def comparison(self, change: TierChange) -> SafeString:
        was_settled = change.in_force_at is not None
        context = {"lines": compared(change), "before": "Until then" if was_settled else "Now", "after": "From then on"}
        return SafeString(render_to_string("admin/customers/tierchange/compared.html", context))

    # The draft of a tier

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.draft_view)
        return [path("draft/<int:pk>/", view, name="customers_tierchange_draft"), *super().get_urls()]

    def draft_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The tier's draft, made where it has none: a button of the tier's page."""
        if not request.user.has_perm(MAY_CHANGE_TIERS):
            raise PermissionDenied
        if request.method != "POST":  # as whoever has signed in again is led to
            return HttpResponseRedirect(reverse("admin:customers_tier_change", args=[pk]))
        with transaction.atomic():
            tier = lock_tier(Tier.objects.filter(pk=pk)) or get_object_or_404(Tier, pk=pk)
            draft = start_draft(tier, cast(User, request.user))
        return HttpResponseRedirect(reverse("admin:customers_tierchange_change", args=[draft.pk]))


@admin.register(CustomerChange)
class CustomerChangeAdmin(ChangeAdmin):
    may_change = MAY_CHANGE_CUSTOMERS
    may_view = "customers.view_customer"
    list_display = ["customer_name", "tier", "state", "note_masked", "author"]
    list_display_links = ["customer_name"]
    list_filter = [StateFilter]
    list_select_related = ["customer", "tier", "author"]
    fields = ["customer_link", "tier", "before", "state", "note_masked", "author", "created_at"]
    readonly_fields = ["customer_link", "tier", "before", "state", "note_masked", "author", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CustomerChange]:
        return super().get_queryset(request).prefetch_related("customer__numbers")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The customer is locked first, as wherever both are."""
        found = super().get_object(request, object_id, from_field)
        if found is not None and request.method == "POST" and transaction.get_connection().in_atomic_block:
            lock_customer(found.customer_id)
            return super().get_object(request, object_id, from_field)
        return found

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        self.message_user(request, f"{obj_display}: cancelled.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:customers_customerchange_changelist"))

    @admin.display(description="customer", ordering="customer__name")
    def customer_name(self, change: CustomerChange) -> str:
        return str(change.customer)

    @admin.display(description="customer")
    def customer_link(self, change: CustomerChange) -> SafeString:
        return format_html('<a href="/reports/customers/{}/">{}</a>', change.customer_id, change.customer)
