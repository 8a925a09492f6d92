"""Tiers with their limits."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.admin.contexts import ContextAdmin
from customers.admin.pages import FoldedSearchAdmin, KeptWhereUsedAdmin, counted, without_related_links
from customers.admin.rows import ShortFormSet, ShortInline
from customers.editing import bring_instance
from customers.history import Part
from customers.models import Tier, TierLimit
from customers.scheduling import planned_of_tier
from customers.settling import settle_tier


class LimitFormSet(ShortFormSet):
    """The database refuses two limits of one key too, but could not say which."""

    def clean(self) -> None:
        super().clean()
        seen = set()
        for form in self.forms:
            data = getattr(form, "cleaned_data", {})
            if not data or data.get("DELETE") or "metric" not in data:
                continue
            key = (data["metric"], data.get("period"), data.get("channel"), data.get("agent"))
            if key in seen:
                form.add_error(
                    "metric",
                    "Another limit is of the same metric, period, channel and agent; change or delete one of them.",
                )
                raise ValidationError("Two limits are of the same metric, period, channel and agent.")
            seen.add(key)


class TierLimitInline(ShortInline, admin.TabularInline):
    model = TierLimit
    formset = LimitFormSet
    fields = ["metric", "period", "amount", "channel", "agent", "hard"]
    autocomplete_fields = ["agent"]
    follows = "Access"
    extra = 0
    verbose_name = "limit"
    verbose_name_plural = "limits – a metric without one is unlimited"


@admin.register(Tier)
class TierAdmin(FoldedSearchAdmin, KeptWhereUsedAdmin, ContextAdmin):
    instead_of_deleting = (
        "Switch Active off instead: the tier is not offered any more then, and goes on serving those who are on it."
    )
    works_instead = {"switch_off": "Switch off"}
    change_form_template = "admin/customers/tier/change_form.html"
    list_display = ["name", "slug", "limits_in_words", "channels_in_words", "customers_on_it", "is_active"]
    list_filter = ["is_active"]
    ordering = ["name"]
    show_facets = admin.ShowFacets.ALWAYS
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [TierLimitInline]
    actions = ["switch_off"]
    readonly_fields = ["touches", "planned"]
    history_parts = [Part(TierLimit, "tier")]
    fieldsets = [
        (None, {"fields": ["name", "slug", "is_active"]}),
        ("Access", {"fields": ["allowed_channels", "call_hold_minutes"]}),
        ("Statements", {"fields": ["rounding_seconds", ("price_per_minute_over", "currency")]}),
        ("For the agent", {"fields": ["context"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        first, *others = super().get_fieldsets(request, obj)
        if obj is None:
            return [first, *others]
        return [(first[0], {**first[1], "fields": [*first[1]["fields"], "touches", "planned"]}), *others]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["widget"] = forms.CheckboxSelectMultiple()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "context":
            kwargs["help_text"] = "What the agent is told about customers of this tier."
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        return without_related_links(field) if db_field.name == "allowed_channels" else field

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tier]:
        tiers = super().get_queryset(request).annotate(customer_count=Count("customers"))
        return tiers.prefetch_related("limits__agent", "allowed_channels")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """An inactive tier is not offered any more where a customer's is chosen."""
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        if request.GET.get("model_name") == "customer":
            found = found.filter(is_active=True)
        return found, may_have_duplicates

    def settle(self, locked: Tier) -> None:
        settle_tier(locked)

    @admin.display(description="limits")
    def limits_in_words(self, tier: Tier) -> str:
        return "; ".join(str(limit) for limit in tier.limits.all()) or "unlimited"

    @admin.display(description="channels")
    def channels_in_words(self, tier: Tier) -> str:
        return ", ".join(str(channel) for channel in tier.allowed_channels.all()) or "all"

    @admin.display(description="customers", ordering="customer_count")
    def customers_on_it(self, tier: Tier) -> SafeString:
        url = reverse("admin:customers_customer_changelist")
        return format_html('<a href="{}?tier__id__exact={}">{}</a>', url, tier.pk, tier.customer_count)  # type: ignore[attr-defined]

    @admin.display(description="whom a change touches")
    def touches(self, tier: Tier) -> SafeString:
        url = reverse("admin:customers_customer_changelist")
        people = counted(tier.customer_count, "customer")  # type: ignore[attr-defined]
        text = '<a href="{}?tier__id__exact={}">{}</a>, from the next call of each. An override stays as it is.'
        return format_html(text, url, tier.pk, people)

    @admin.display(description="drafts and scheduled changes")
    def planned(self, tier: Tier) -> SafeString:
        """With what becomes of what is changed here."""
        changes = list(planned_of_tier(tier).prefetch_related("limits__agent"))
        return SafeString(render_to_string("admin/customers/tier/planned.html", {"changes": changes}))

    # Actions

    @admin.action(description="Switch the selected tiers off", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Tier]) -> None:
        """Row by row, for the history."""
        changed = 0
        for pk in queryset.filter(is_active=True).values_list("pk", flat=True):
            with transaction.atomic():
                tier = Tier.objects.select_for_update(no_key=True).get(pk=pk)
                bring_instance(tier, {"is_active": False})
                self.log_change(request, tier, "Switched off.")
            changed += 1
        self.message_user(request, f"{counted(changed, 'tier')} switched off.", messages.SUCCESS)
