"""A customer's numbers on the admin's page, and what stands there for whoever may not see them."""

import json
from typing import Any

import phonenumbers
from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.admin.rows import ShortFormSet, ShortInline
from customers.editing import described, number_key
from customers.masking import may_see_numbers, shown_email, shown_text
from customers.models import Customer, PhoneNumber

# Who may not see them whole may not change them either.
MASKED = {"email": "email_masked", "notes": "notes_masked", "context": "context_masked"}


class NumberForm(forms.ModelForm):
    def clean_number(self) -> str:
        number: str = self.cleaned_data["number"].strip()
        self.key = number_key(number)
        return number


class NumberFormSet(ShortFormSet):
    """Refuses what `claim_number` would refuse, at the number that is at fault."""

    def clean(self) -> None:
        super().clean()
        seen = set()
        for form in self.forms:
            key = getattr(form, "key", None)
            if key is None or form.cleaned_data.get("DELETE"):
                continue
            if key in seen:
                form.add_error("number", f"This is the same number as another one here ({key}). Leave one out.")
            seen.add(key)
            owner = Customer.objects.filter(numbers__key=key).exclude(pk=self.instance.pk).first()
            if owner is not None and not owner.is_provisional():
                form.add_error("number", f"This number belongs to {described(owner)}. Remove it there first.")


class NumberInline(ShortInline, admin.TabularInline):
    model = PhoneNumber
    form = NumberForm
    formset = NumberFormSet
    fields = ["number", "matched_by"]
    readonly_fields = ["matched_by"]
    follows = "Who"
    extra = 0
    comes_with_address = "number"
    verbose_name_plural = "phone numbers – a first contact's number given here brings its past sessions along"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if is_whole(obj) else ["number_masked"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if is_whole(obj) else ["number_masked"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_whole(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_whole(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_whole(obj) and super().has_delete_permission(request, obj)

    @admin.display(description="calls are matched by")
    def matched_by(self, number: PhoneNumber) -> str:
        return number.key or "–"

    @admin.display(description="number")
    def number_masked(self, number: PhoneNumber) -> str:
        return str(number)


def is_whole(customer: Customer | None) -> bool:
    """Whether a page has numbers to be changed; of a new customer, somebody has to write them who knows them."""
    return customer is None or may_see_numbers()


class MaskedFieldsMixin:
    """What stands in for the fields of `MASKED`."""

    @admin.display(description="email")
    def email_masked(self, customer: Customer) -> str:
        return shown_email(customer.email) or "–"

    @admin.display(description="notes")
    def notes_masked(self, customer: Customer) -> str:
        return shown_text(customer.notes) or "–"

    @admin.display(description="context")
    def context_masked(self, customer: Customer) -> SafeString | str:
        text = shown_text(json.dumps(customer.context, indent=2, ensure_ascii=False))
        return format_html('<pre class="body" tabindex="0">{}</pre>', text) if customer.context else "–"


class MaskedNoteMixin(admin.options.InlineModelAdmin):
    """Rows whose note, last but one of their fields, stands as whoever asks may see it."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if is_whole(obj):
            return self.fieldsets
        ((title, options),) = self.fieldsets or ()
        return [(title, {**options, "fields": [*options["fields"][:-1], ("note_masked", "author")]})]

    @admin.display(description="note")
    def note_masked(self, row: Any) -> str:
        return shown_text(row.note) or "–"


def is_in_a_plan(key: str) -> bool:
    """Whether a number is one that some country could have given out."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(key))
    except phonenumbers.NumberParseException:
        return False
