"""The pages of a destination's signing secret: it is shown once, and rotated once staff know what that means."""

from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode

from automations.admin.secret_rows import keep_secret, sealed_parts
from automations.models import Destination, Secret
from automations.outgoing.signing import SIGNING, SIGNING_BEFORE, made_signing_secret
from automations.sealing import Sealed, SealingError, open_sealed
from customers.admin.pages import admin_page

# In the session, as it is stored: sealed. No session, message or cookie ever holds a secret in the clear.
TO_SHOW = "signing_secret_to_show"


def show_once(request: HttpRequest, destination: Destination, sealed: tuple[str, str]) -> HttpResponse:
    """Lead to the page that shows the secret. Loading that page again makes no other one."""
    request.session[TO_SHOW] = [destination.pk, *sealed]
    return HttpResponseRedirect(reverse("admin:automations_destination_secret", args=[destination.pk]))


def secret_page(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    destination = _destination(model_admin, request, pk)
    owner, *sealed = request.session.get(TO_SHOW, [None])
    if owner != pk:
        text = "A signing secret is shown once, when it is made. Nobody can look it up: rotate it if it was not copied."
        model_admin.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(_change_page(pk))
    del request.session[TO_SHOW]
    try:
        secret = open_sealed(Sealed(*sealed))
    except (SealingError, ImproperlyConfigured) as error:
        model_admin.message_user(request, f"The secret cannot be shown. {error}", messages.ERROR)
        return HttpResponseRedirect(_change_page(pk))
    context = {
        "title": f"The signing secret of “{destination.name}”",
        "secret": secret,
        "rule_for": rule_for(destination),
        "has_before": destination.secrets.filter(name=SIGNING_BEFORE).exists(),
    }
    return _page(model_admin, request, "made", destination, context)


def rotate_page(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks first; then a new signing secret. Until staff delete the one before, requests are signed with both."""
    destination = _destination(model_admin, request, pk)
    newest = destination.secrets.filter(name=SIGNING).first()
    before = destination.secrets.filter(name=SIGNING_BEFORE).first()
    is_known = request.POST.get("is_known") == "on"
    if request.method != "POST" or (before is not None and not is_known):
        context = {"title": "Rotate the signing secret", "newest": newest, "before": before}
        return _page(model_admin, request, "rotate", destination, context | {"is_asked": request.method == "POST"})
    try:
        sealed = sealed_parts(made_signing_secret())
    except (SealingError, ImproperlyConfigured) as error:
        model_admin.message_user(request, f"Nothing was changed. {error}", messages.ERROR)
        return HttpResponseRedirect(_change_page(pk))
    if not _rotate(model_admin, request, pk, request.POST.get("newest", ""), sealed):
        text = "It was rotated meanwhile, so nothing was changed now."
        model_admin.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(reverse("admin:automations_destination_secret", args=[pk]))
    return show_once(request, destination, sealed)


def _rotate(model_admin: ModelAdmin, request: HttpRequest, pk: int, asked_of: str, sealed: tuple[str, str]) -> bool:
    """Whether it was. `asked_of` marks the secret that the page spoke of: a second click must not push that one out."""
    with transaction.atomic():
        destination = Destination.objects.select_for_update(of=("self",)).get(pk=pk)
        old = destination.secrets.filter(name=SIGNING).first()
        if asked_of != mark_of(old):
            return False
        if old is not None:
            keep_secret(destination, SIGNING_BEFORE, (old.fingerprint, old.token))
        keep_secret(destination, SIGNING, sealed)
        model_admin.log_change(request, destination, "Signing secret rotated.")
    return True


def mark_of(secret: Secret | None) -> str:
    return secret.set_at.isoformat() if secret is not None else ""


def rule_for(destination: Destination) -> str:
    """The page that adds a rule with an action for the destination."""
    return f"{reverse('admin:automations_rule_add')}?{urlencode({'destination': destination.pk})}"


def _destination(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> Destination:
    destination = Destination.objects.filter(pk=pk).first()
    if destination is None:
        raise Http404
    if not model_admin.has_change_permission(request, destination):
        raise PermissionDenied
    return destination


def _page(
    model_admin: ModelAdmin, request: HttpRequest, name: str, destination: Destination, context: dict[str, Any]
) -> HttpResponse:
    shown = {"destination": destination, **context}
    return admin_page(request, f"admin/automations/destination/{name}.html", shown, of=model_admin)


def _change_page(pk: int) -> str:
    return reverse("admin:automations_destination_change", args=[pk])
