"""API keys: made here, their secret shown once, revoked for good."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone

from customers.admin.pages import HistoryAdmin, admin_page, counted
from customers.keys import create_key, exchange_secret, forget_keys
from customers.models import ApiKey

# In the session: a key that has just been made, and the hash of a secret that nobody was told.
TO_SHOW = "api_key_to_show"

STATES = {"active": "active", "expired": "expired", "revoked": "revoked"}


class KeyForm(forms.ModelForm):
    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if "expires_at" in self.changed_data and expires_at is not None and expires_at <= timezone.now():
            raise ValidationError("Give a time that is still to come, or leave it blank. To end a key now, revoke it.")
        return expires_at


class NewKeyForm(KeyForm):
    allowed_scopes = forms.MultipleChoiceField(
        label="Scopes",
        choices=ApiKey.Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="webhook: LiveTok's requests. read: the API's GET. manage: all of the API.",
    )


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(STATES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        now = timezone.now()
        if self.value() == "revoked":
            return queryset.filter(revoked_at__isnull=False)
        if self.value() == "expired":
            return queryset.filter(revoked_at__isnull=True, expires_at__lte=now)
        if self.value() == "active":
            return queryset.filter(revoked_at__isnull=True).exclude(expires_at__lte=now)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(HistoryAdmin):
    form = KeyForm
    list_display = ["name", "prefix_shown", "scopes_in_words", "state", "last_used_at", "expires_at", "created_by"]
    list_filter = [StateFilter]
    show_facets = admin.ShowFacets.ALWAYS
    list_select_related = ["created_by"]
    search_fields = ["name", "prefix"]
    actions = ["revoke"]
    adds_once = False  # each has a secret of its own, which only its own page shows

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = NewKeyForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None:
            return ["name", "allowed_scopes", "expires_at"]
        shown = ["state", "prefix_shown", "scopes_in_words", "created_by", "created_at", "last_used_at", "revoked_at"]
        return ["name", "expires_at", *shown]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None:
            return []
        shown = self.get_fields(request, obj)
        return shown if obj.revoked_at else shown[2:]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["show_save_and_add_another"] = False
        if kwargs.get("add"):
            context["show_save_and_continue"] = False
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: forms.ModelForm, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            # In this process; others believe what they read for `keys.BELIEVED_SECONDS` more.
            forget_keys()
            return
        made, _ = create_key(
            obj.name, form.cleaned_data["allowed_scopes"], expires_at=obj.expires_at, created_by=request.user
        )
        obj.pk = made.pk
        obj._state.adding = False
        obj.refresh_from_db()

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        request.session[TO_SHOW] = [obj.pk, obj.secret_sha256]
        return HttpResponseRedirect(reverse("admin:customers_apikey_secret", args=[obj.pk]))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.secret_view)
        return [path("<int:pk>/secret/", view, name="customers_apikey_secret"), *super().get_urls()]

    def secret_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The key gets its secret only when this page shows it: no message, cookie or session ever holds one."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "GET":  # a HEAD would use the secret up, and show nobody any
            return HttpResponseNotAllowed(["GET"])
        made, instead_of = request.session.get(TO_SHOW, [None, ""])
        key = ApiKey.objects.filter(pk=pk).first()
        secret = exchange_secret(key, instead_of) if key and key.pk == made else None
        if key is None or secret is None:
            text = (
                "A key's secret is shown once, when the key is made. "
                "If it was not copied, revoke the key and make another."
            )
            self.message_user(request, text, messages.WARNING)
            return HttpResponseRedirect(reverse("admin:customers_apikey_changelist"))
        del request.session[TO_SHOW]
        forget_keys()
        context = {
            "title": f"The key “{key.name}” is made",
            "key": key,
            "secret": secret,
            "is_for_livetok": ApiKey.Scope.WEBHOOK in key.scopes,
            "webhook_url": request.build_absolute_uri("/webhooks/livetok"),
        }
        return admin_page(request, "admin/customers/apikey/made.html", context, of=self)

    @admin.action(description="Revoke the selected keys, for good", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        keys = list(queryset.filter(revoked_at__isnull=True))
        for key in keys:
            key.revoked_at = timezone.now()
            key.save(update_fields=["revoked_at"])
            self.log_change(request, key, "Revoked.")
        forget_keys()
        text = f"{counted(len(keys), 'key')} revoked. Nobody gets in with one after five seconds."
        self.message_user(request, text, messages.SUCCESS)

    @admin.display(description="begins with")
    def prefix_shown(self, key: ApiKey) -> str:
        return f"fd_{key.prefix}_…"

    @admin.display(description="scopes")
    def scopes_in_words(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return STATES["revoked"]
        return STATES["expired" if key.expires_at and key.expires_at <= timezone.now() else "active"]
