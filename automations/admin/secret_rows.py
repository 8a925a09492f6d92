"""Secrets in the form of their destination or source: written there, and never read."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from automations.admin.offers import OFFERS
from automations.models import Destination, Secret
from automations.outgoing.signing import SIGNING, SIGNING_BEFORE, SigningError, check_signing_secret
from automations.sealed import has_sealed
from automations.sealing import Sealed, SealingError, has_key, seal
from automations.texts.destinations import SECRET_NAME, check_secret_of_address
from customers.admin.rows import ShortFormSet, ShortInline
from customers.history import moment_words

LONGEST_SECRET = 4000


class SecretForm(forms.ModelForm):
    value = forms.CharField(
        label="New value",
        required=False,
        max_length=LONGEST_SECRET,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
        help_text="Blank keeps the one that is there.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked = dict(pair for offer in OFFERS.values() for pair in offer.secrets)
        name = self.initial.get("name", "")
        if not self.instance.pk and name in asked and "value" in self.fields:
            self.fields["value"].help_text = asked[name] + "."

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not SECRET_NAME.fullmatch(name):
            raise forms.ValidationError("Start with a letter: addresses and headers name it as {{ secrets.name }}.")
        return name


class SecretFormSet(ShortFormSet):
    """Seals what was given, so that what cannot be sealed is an error at its field."""

    def clean(self) -> None:
        seen: set[str] = set()
        for form in self.forms:
            data = getattr(form, "cleaned_data", {})
            name = data.get("name")
            if not name or data.get("DELETE") or not form.is_valid():
                continue
            if name in seen:
                form.add_error("name", f"There is another secret named {name} here. Leave one out.")
            seen.add(name)
            self._seal(form, name, data.get("value", ""))
        super().clean()

    def _seal(self, form: Any, name: str, value: str) -> None:
        if not value:
            if not form.instance.pk:
                form.add_error("value", "Give its value, or leave out the row.")
            return
        address = self.instance.address
        value = without_prefix(value, address)
        problems = check_secret_of_address(
            address,
            name,
            value,
            allows_http=settings.OUTGOING_ALLOW_HTTP,
            allowed=settings.OUTGOING_ALLOWED_HOSTS,
        )
        if problems:
            form.add_error("value", problems)
            return
        try:
            if name in (SIGNING, SIGNING_BEFORE):
                check_signing_secret(value)
            form.instance.fingerprint, form.instance.token = sealed_parts(value)
        except (SigningError, SealingError, ImproperlyConfigured) as error:
            form.add_error("value", str(error))


def without_prefix(value: str, address: str) -> str:
    """The secret part of an address that was pasted whole, such as a webhook's of Slack."""
    known, mark, _ = address.partition("{{")
    return value.removeprefix(known) if mark and known else value


def sealed_parts(value: str) -> tuple[str, str]:
    """Fingerprint and token. Raises SealingError, or ImproperlyConfigured where the key's file is damaged."""
    sealed = seal(value, has_old_secrets=has_sealed)
    return sealed.fingerprint, sealed.token


def keep_secret(destination: Destination, name: str, sealed: tuple[str, str]) -> None:
    """Store it in the place of the one of that name, if there is one."""
    secret = Secret.objects.filter(destination=destination, name=name).first()
    secret = secret or Secret(destination=destination, name=name)
    secret.fingerprint, secret.token = sealed
    secret.save()


def missing_key(secret: Secret) -> str:
    """What is wrong with the key that opens the secret, as a sentence; blank where it is there. Opens nothing."""
    try:
        if has_key(Sealed(secret.fingerprint, secret.token)):
            return ""
    except ImproperlyConfigured as error:
        return str(error)
    return f"Its encryption key {secret.fingerprint} is missing: restore that key, or enter the secret again."


def names_after(data: Any, stored: Iterable[Secret]) -> set[str]:
    """The names of the secrets that a destination or source has once its form, as it was sent, is saved."""
    names = {str(secret.pk): secret.name for secret in stored}
    total = data.get("secrets-TOTAL_FORMS", "")
    for index in range(min(int(total), 1000) if str(total).isdecimal() else 0):
        row = f"secrets-{index}"
        key = data.get(f"{row}-id") or f"new {index}"
        name = data.get(f"{row}-name", "").strip()
        if data.get(f"{row}-DELETE"):
            names.pop(key, None)
        elif name and (data.get(f"{row}-value") or key in names):
            names[key] = name
    return {name for name in names.values() if SECRET_NAME.fullmatch(name)}


class SecretInline(ShortInline, admin.StackedInline):
    model = Secret
    form = SecretForm
    formset = SecretFormSet
    readonly_fields = ["state"]
    verbose_name_plural = "secrets – stored encrypted, and shown nowhere again"

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        offer = OFFERS.get(request.GET.get("preset", ""))
        if obj is not None:
            return 0 if obj.secrets.exists() else 1
        return len(offer.secrets) if offer else 1

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["name", "value", *(["state"] if obj is not None else [])]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Secret]:
        return super().get_queryset(request).order_by("pk")

    @admin.display(description="state")
    def state(self, secret: Secret) -> SafeString | str:
        if not secret.pk:
            return "not set yet"
        problem = missing_key(secret)
        if problem:
            return format_html('<span class="state denied">key missing</span> {}', problem)
        return f"Set on {moment_words(secret.set_at)}, with the key {secret.fingerprint}."
