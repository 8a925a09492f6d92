"""Customers with their numbers and overrides, and what holds for them now."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html_join
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString

from customers.admin.bulk import bulk_edit
from customers.admin.contexts import ContextAdmin
from customers.admin.erasures import ErasingMixin
from customers.admin.imports import CustomerImportMixin
from customers.admin.numbers import MASKED, MaskedFieldsMixin, MaskedNoteMixin, NumberInline, is_in_a_plan, is_whole
from customers.admin.pages import KeptWhereUsedAdmin, without_related_links
from customers.admin.rows import ShortFormSet, ShortInline
from customers.editing import check_overrides, claim_number, number_key, number_warning
from customers.history import Part
from customers.models import Customer, CustomerChange, LimitOverride, PhoneNumber, SearchKey, Tier, TopUp
from customers.models.fields import time_zones
from customers.origins import limits_in_force, remaining_words
from customers.search.finding import named
from customers.search.keeping import keep_search_keys
from customers.settling import settle_customers
from customers.validity import Validity


class CustomerForm(forms.ModelForm):
    time_zone = forms.ChoiceField(required=False, help_text=Customer._meta.get_field("time_zone").help_text)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "time_zone" in self.fields:
            company = ("", f"the company's ({settings.TIME_ZONE})")
            zones = [(name, name.replace("_", " ")) for name in sorted(time_zones())]
            self.fields["time_zone"].choices = [company, *zones]  # type: ignore[attr-defined]

    def clean_tier(self) -> Tier:
        tier: Tier = self.cleaned_data["tier"]
        if "tier" in self.changed_data and not tier.is_active:
            raise ValidationError(f"Tier {tier} is not offered any more. Choose an active one.")
        return tier


class OverrideFormSet(ShortFormSet):
    """Two overrides of one key must not be valid at once; the page shows them all, so this compares them here."""

    def clean(self) -> None:
        super().clean()
        kept = [
            form
            for form in self.forms
            if getattr(form, "cleaned_data", None) and not form.cleaned_data.get("DELETE") and form.is_valid()
        ]
        for index, form in enumerate(kept):
            for other in kept[:index]:
                if _overlap(form.cleaned_data, other.cleaned_data):
                    form.add_error(
                        "valid_from",
                        "Another override of the same metric, period, channel and agent is valid at the same time. "
                        "Let one end before the other begins.",
                    )
                    break


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if any(one[name] != other[name] for name in ("metric", "period", "channel", "agent")):
        return False
    validity = Validity(one["valid_from"], one["valid_until"])
    return validity.overlaps(Validity(other["valid_from"], other["valid_until"]))


class OverrideInline(MaskedNoteMixin, ShortInline, admin.StackedInline):
    model = LimitOverride
    formset = OverrideFormSet
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("metric", "period", "amount"),
                    ("channel", "agent", "hard"),
                    ("valid_from", "valid_until"),
                    ("note", "author"),
                ]
            },
        )
    ]
    readonly_fields = ["author", "note_masked"]
    autocomplete_fields = ["agent"]
    follows = "Access"
    extra = 0
    verbose_name = "override"
    verbose_name_plural = "overrides – each replaces the tier's limit of the same metric, period, channel and agent"

    def get_queryset(self, request: HttpRequest) -> QuerySet[LimitOverride]:
        return super().get_queryset(request).select_related("author", "channel", "agent")


class TopUpForm(forms.ModelForm):
    def clean_metric(self) -> str:
        metric: str = self.cleaned_data["metric"]
        if self.instance.pk is not None and "metric" in self.changed_data:
            raise ValidationError("What a top-up is of stays what it was. Add another one.")
        return metric


class TopUpInline(MaskedNoteMixin, ShortInline, admin.StackedInline):
    model = TopUp
    form = TopUpForm
    formset = ShortFormSet
    fieldsets = [
        (None, {"fields": [("metric", "amount"), ("valid_from", "valid_until"), ("note", "author")]}),
    ]
    readonly_fields = ["author", "note_masked"]
    follows = "Access"
    extra = 0
    verbose_name_plural = "top-ups – each lets sessions in once a limit of a day, week or month is used up"

    def get_queryset(self, request: HttpRequest) -> QuerySet[TopUp]:
        return super().get_queryset(request).select_related("author")


class OverrideFilter(admin.SimpleListFilter):
    title = "overrides"
    parameter_name = "overrides"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("now", "has one now"), ("none", "has none now")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Customer]) -> QuerySet[Customer]:
        now = Q(pk__in=LimitOverride.objects.valid_at(timezone.now()).values("customer"))
        if self.value() == "now":
            return queryset.filter(now)
        return queryset.exclude(now) if self.value() == "none" else queryset


@admin.register(Customer)
class CustomerAdmin(MaskedFieldsMixin, ErasingMixin, CustomerImportMixin, KeptWhereUsedAdmin, ContextAdmin):
    instead_of_deleting = "Pause or block the customer instead: either keeps the customer out."
    works_instead = {"pause": "Pause", "block": "Block"}
    form = CustomerForm
    change_form_template = "admin/customers/customer/change_form.html"
    list_display = ["name_or_id", "external_id", "numbers_in_words", "tier", "standing", "overrides_now"]
    list_filter = ["status", ("tier", admin.RelatedOnlyFieldListFilter), OverrideFilter, "source"]
    linked_lookups = ["created_at__gte", "created_at__lt"]
    show_facets = admin.ShowFacets.ALWAYS
    list_select_related = ["tier"]
    search_fields = ["name", "external_id", "email"]
    search_help_text = "Any words of the name, external id or email, or digits of a number."
    autocomplete_fields = ["tier"]
    inlines = [NumberInline, OverrideInline, TopUpInline]
    history_parts = [
        Part(PhoneNumber, "customer"),
        Part(LimitOverride, "customer"),
        Part(TopUp, "customer"),
        Part(CustomerChange, "customer"),
    ]
    actions = ["change_tier", "give_override", "activate", "pause", "block", "erase"]
    radio_fields = {"status": admin.HORIZONTAL}
    readonly_fields = ["standing", "limits_now", "source", "created_at", *MASKED.values()]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is changed most comes first; the numbers follow "Who", and the overrides "Access"."""
        access: list[Any] = ["tier", "status", ("valid_from", "valid_until"), "time_zone"]
        about: list[Any] = ["notes"]
        if obj is not None:
            access += ["standing", "limits_now"]
            about.append(("source", "created_at"))
        email, about[0], context = (name if is_whole(obj) else MASKED[name] for name in ("email", "notes", "context"))
        return [
            ("Who", {"fields": ["name", "external_id", email]}),
            ("Access", {"fields": access}),
            ("For staff", {"fields": about}),
            ("For the agent", {"fields": [context]}),
        ]

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "context":
            kwargs["help_text"] = "What the agent is told about this customer, over what its tier says."
        if db_field.name == "notes":
            kwargs["widget"] = forms.Textarea(attrs={"rows": 3, "cols": 60})
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        return without_related_links(field) if db_field.name == "tier" else field

    def get_queryset(self, request: HttpRequest) -> QuerySet[Customer]:
        now = LimitOverride.objects.valid_at(timezone.now()).select_related("agent")
        overrides = Prefetch("overrides", now, to_attr="overrides_valid_now")
        return super().get_queryset(request).select_related("tier", "erasure").prefetch_related("numbers", overrides)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """What would be decided of those on the page is asked once for all of them."""
        listed = super().get_changelist_instance(request)
        words = _outlooks([customer.pk for customer in listed.result_list])
        for customer in listed.result_list:
            customer.outlook = words.get(customer.pk, [])
        return listed

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return (queryset.filter(named(search_term)) if search_term.strip() else queryset), False

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What a customer is found by goes with the customer, and is nothing that anybody would miss."""
        listed, counts, needed, protected = super().get_deleted_objects(objs, request)
        kind = SearchKey._meta
        counts.pop(kind.verbose_name_plural, None)
        return _without(listed, f"{str(kind.verbose_name).capitalize()}: "), counts, needed, protected

    def initial_data(self, request: HttpRequest) -> dict[str, str]:
        return {"external_id": request.GET.get("external_id", "")}

    # Columns

    @admin.display(description="name", ordering="name")
    def name_or_id(self, customer: Customer) -> str:
        return str(customer)

    @admin.display(description="numbers")
    def numbers_in_words(self, customer: Customer) -> str:
        return ", ".join(str(number) for number in customer.numbers.all()) or "–"

    @admin.display(description="may call", ordering="status")
    def standing(self, customer: Customer) -> SafeString:
        words = getattr(customer, "outlook", None)
        lines = _outlooks([customer.pk]).get(customer.pk, []) if words is None else words
        return format_html_join(SafeString("<br>"), "{}", ((line,) for line in lines))

    @admin.display(description="overrides now")
    def overrides_now(self, customer: Customer) -> str:
        overrides: list[LimitOverride] = customer.overrides_valid_now  # type: ignore[attr-defined]
        return "; ".join(f"{override}{_until(override)}" for override in overrides) or "–"

    @admin.display(description="limits in force now")
    def limits_now(self, customer: Customer) -> SafeString:
        return limits_table(customer, timezone.now())

    # Saving

    def settle(self, locked: Customer) -> None:
        settle_customers([locked])

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        keep_search_keys([form.instance.pk])

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        rows = formset.save(commit=False)
        for row in formset.deleted_objects:
            row.delete()
        if formset.model is PhoneNumber:
            self._save_numbers(request, form.instance, formset)
        else:
            for added in rows:  # overrides or top-ups
                if added.pk is None:
                    added.author = request.user
                added.save()
            check_overrides(form.instance)

    def _save_numbers(self, request: HttpRequest, customer: Customer, formset: Any) -> None:
        changed = [number for number, _ in formset.changed_objects]
        for number in changed:
            # One that became another number: `claim_number` goes by the new key, and would leave the old row behind.
            if number.key != number_key(number.number):
                number.delete()
        for number in [*changed, *formset.new_objects]:
            claimed = claim_number(customer, number.number)
            number.pk = claimed.pk
            text = number_warning(number.number, claimed.key)
            if not text and not is_in_a_plan(claimed.key):
                text = f"{number} is in no country's numbering plan. It was saved; look whether it is a typo."
            if text:
                self.message_user(request, text, messages.WARNING)

    # Actions

    @admin.action(description="Change the tier of the selected customers", permissions=["change"])
    def change_tier(self, request: HttpRequest, queryset: QuerySet[Customer]) -> HttpResponseBase | None:
        return bulk_edit(self, request, queryset, "change_tier")

    def has_give_override_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(["customers.change_customer", "customers.add_limitoverride"])

    @admin.action(description="Give the selected customers an override until …", permissions=["give_override"])
    def give_override(self, request: HttpRequest, queryset: QuerySet[Customer]) -> HttpResponseBase | None:
        return bulk_edit(self, request, queryset, "give_override")

    @admin.action(description="Set the selected customers to active", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Customer]) -> HttpResponseBase | None:
        return bulk_edit(self, request, queryset, "activate")

    @admin.action(description="Pause the selected customers", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Customer]) -> HttpResponseBase | None:
        return bulk_edit(self, request, queryset, "pause")

    @admin.action(description="Block the selected customers", permissions=["change"])
    def block(self, request: HttpRequest, queryset: QuerySet[Customer]) -> HttpResponseBase | None:
        return bulk_edit(self, request, queryset, "block")


def _outlooks(customer_ids: list[int]) -> dict[int, list[str]]:
    find: Callable[[list[int], datetime], dict[int, list[str]]] = import_string(settings.CUSTOMER_OUTLOOK)
    return find(customer_ids, timezone.now())


def _without(listed: list[Any], beginning: str) -> list[Any]:
    """A nested list, as Django makes it of what a deletion takes along, without the lines that begin so."""
    kept = [_without(line, beginning) if isinstance(line, list) else line for line in listed]
    return [line for line in kept if line and not (isinstance(line, str) and line.startswith(beginning))]


def _until(override: LimitOverride) -> str:
    if override.valid_until is None:
        return ""
    return f" until {date_format(timezone.localtime(override.valid_until), 'D j M Y, H:i')}"


def limits_table(customer: Customer, now: datetime) -> SafeString:
    """What holds for the customer at `now`: each limit, where it comes from, and what else binds beside an override."""
    overrides = [one for one in customer.overrides.select_related("agent") if one.is_valid_at(now)]
    by_key = {override.as_limit().key: override for override in overrides}
    in_force = limits_in_force(
        (limit.as_limit() for limit in customer.tier.limits.select_related("agent")),
        (override.as_limit() for override in overrides),
    )
    tier = customer.tier.name
    rows = [
        {
            "limit": entry.limit,
            "metric": entry.limit.metric.words,
            "override": by_key.get(entry.limit.key),
            "replaces": entry.replaces,
            "remaining": [remaining_words(other, entry.limit, tier) for other in entry.remaining],
        }
        for entry in in_force
    ]
    channels = _listed(customer.tier.allowed_channels.all())
    context = {"rows": rows, "tier": customer.tier, "channels": channels, "customer": customer}
    return SafeString(render_to_string("admin/customers/customer/limits.html", context))


def _listed(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)
