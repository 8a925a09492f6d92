"""Sources: their texts checked on saving, their secrets write-only, and "Try it"."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path

from automations.admin.secret_rows import SecretInline, names_after
from automations.context.provider import forget_recipes
from automations.context.recipes import MOST_POINTERS, NAMES, check_source
from automations.context.trying import Tried, try_source
from automations.models import Source
from automations.wording import status_words
from customers.admin.pages import HistoryAdmin, admin_page, without_related_links
from customers.history import moment_words


class SourceSecretInline(SecretInline):
    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0


class SourceForm(forms.ModelForm):
    # Of the secrets on the same page, saved or about to be.
    secret_names: frozenset[str] = frozenset()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        address, headers, pointers = (cleaned.get(name, "") for name in ("address", "headers", "pointers"))
        for field, problems in check_source(address, headers, pointers, self.secret_names).items():
            if field in cleaned:
                for problem in problems:
                    self.add_error(field, problem)
        return cleaned


class TryForm(forms.Form):
    caller = forms.CharField(
        label="Number or external id",
        max_length=255,
        help_text="A customer's, or any number: it is asked for as if this caller called now.",
    )


@admin.register(Source)
class SourceAdmin(HistoryAdmin):
    form = SourceForm
    inlines = [SourceSecretInline]
    list_display = ["name", "is_active", "waits", "lately"]
    list_filter = ["is_active"]
    search_fields = ["name"]
    autocomplete_fields = ["agents"]
    readonly_fields = ["lately"]
    change_form_template = "admin/automations/source/change_form.html"
    fieldsets = [
        (None, {"fields": ["name", "is_active", "lately"]}),
        (
            "What is asked",
            {
                "fields": ["address", "headers", "limit_ms"],
                "description": f"The address may name {', '.join(sorted(NAMES))}, each in double curly brackets.",
            },
        ),
        (
            "What becomes of the answer",
            {
                "fields": ["pointers", "fresh_minutes", "stale_hours"],
                "description": f"Up to {MOST_POINTERS} keys: texts, numbers, yes or no, or short lists of these. A "
                "tier's or a customer's own key of the same name comes first.",
            },
        ),
        ("For whom", {"fields": ["tiers", "agents"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        (_, first), *others = super().get_fieldsets(request, obj)
        fields = [name for name in first["fields"] if obj is not None or name != "lately"]
        return [(None, {**first, "fields": fields}), *others]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.secret_names = frozenset(names_after(request.POST, obj.secrets.all() if obj else []))
        return form

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "tiers":
            kwargs["widget"] = forms.CheckboxSelectMultiple()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in ("headers", "pointers"):
            kwargs["widget"] = forms.Textarea(attrs={"rows": 4, "cols": 60, "class": "code", "spellcheck": "false"})
        if db_field.name == "address":
            kwargs["widget"] = forms.TextInput(attrs={"class": "vTextField code", "spellcheck": "false"})
        return without_related_links(super().formfield_for_dbfield(db_field, request, **kwargs))

    @admin.display(description="a caller waits", ordering="limit_ms")
    def waits(self, source: Source) -> str:
        return f"{source.limit_ms} ms at most"

    @admin.display(description="last failure", ordering="last_failed_at")
    def lately(self, source: Source) -> str:
        if source.last_failed_at is None:
            return "None so far."
        return f"{moment_words(source.last_failed_at)}: {source.last_failure}"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        forget_recipes()  # in this process; others remember them for five seconds

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.try_view)
        return [path("<int:pk>/try/", view, name="automations_source_try"), *super().get_urls()]

    def try_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask it now, with ten seconds' patience; nothing is stored. By POST, since it sends a request with secrets."""
        source = self.get_object(request, str(pk))
        if source is None:
            raise Http404
        if not self.has_change_permission(request, source):
            raise PermissionDenied
        form = TryForm(request.POST or None)
        tried: Tried | None = None
        if request.method == "POST" and form.is_valid():
            tried = try_source(source, form.cleaned_data["caller"])
        context = {
            "title": f"Try “{source}”",
            "original": source,
            "form": form,
            "tried": tried,
            "status": status_words(tried.status) if tried else "",
        }
        return admin_page(request, "admin/automations/source/try.html", context, of=self)
