"""The pages that export rules, destinations and sources as one file, and import them, with a preview."""

from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from automations.context.provider import forget_recipes
from automations.exchange.entries import CannotExportError, exported
from automations.exchange.planning import LARGEST_FILE, Plan, Planned, plan_of
from automations.exchange.storing import import_file
from customers.admin.pages import admin_page

_EXCHANGED = ("rule", "destination", "source")
TO_EXPORT = [f"automations.view_{model}" for model in _EXCHANGED]
TO_IMPORT = [f"automations.{verb}_{model}" for verb in ("add", "change") for model in _EXCHANGED]
MOST_PROBLEMS = 100


class RulesFileForm(forms.Form):
    file = forms.FileField(label="File", help_text="JSON, as Frontdesk exports it, of 1 MB at most.")

    def clean_file(self) -> str:
        upload = self.cleaned_data["file"]
        if upload.size > LARGEST_FILE:
            raise forms.ValidationError("The file is larger than 1 MB.")
        try:
            return str(upload.read().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise forms.ValidationError("The file is not in UTF-8. Export it again.") from error


@admin.site.admin_view
@require_safe
def export_rules(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perms(TO_EXPORT):
        raise PermissionDenied
    try:
        text = exported()
    except CannotExportError as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(reverse("automations:import"))
    name = f"frontdesk-rules-{timezone.localdate():%Y-%m-%d}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="application/json", headers=headers)


@admin.site.admin_view
@require_http_methods(["GET", "HEAD", "POST"])
def import_rules(request: HttpRequest) -> HttpResponse:
    """A file is chosen, shown as what it would make and change, and stored once staff say so."""
    if not request.user.has_perms(TO_EXPORT):
        raise PermissionDenied
    may_import = request.user.has_perms(TO_IMPORT)
    if request.method == "POST" and not may_import:
        raise PermissionDenied
    if request.method == "POST" and "text" in request.POST:
        return _store(request, request.POST["text"])
    form = RulesFileForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        text = form.cleaned_data["file"]
        return _page(request, form=RulesFileForm(), plan=plan_of(text), text=text, may_import=True)
    return _page(request, form=form, may_import=may_import)


def _store(request: HttpRequest, text: str) -> HttpResponse:
    plan = import_file(text)
    if plan.problems:
        return _page(request, form=RulesFileForm(), plan=plan, text=text, may_import=True)
    forget_recipes()  # of sources, in this process; others remember them for five seconds
    stored = [planned for planned in plan.everything if planned.verb != "unchanged"]
    _note(request, stored)
    new = sum(planned.is_new for planned in stored)
    text = f"Imported: {new} new, {len(stored) - new} changed. Rules and sources that are new or changed are off."
    messages.success(request, text)
    for line in _secrets_to_enter(plan):
        messages.warning(request, line)
    return HttpResponseRedirect(reverse("automations:import"))


def _note(request: HttpRequest, stored: list[Planned]) -> None:
    who: Any = request.user.pk
    for planned in stored:
        flag = ADDITION if planned.is_new else CHANGE
        LogEntry.objects.log_actions(who, [planned.row], flag, change_message="Imported.", single_object=True)


def _secrets_to_enter(plan: Plan) -> list[str]:
    return [
        f"{planned.row._meta.verbose_name.capitalize()} “{planned.row.name}” still needs its secrets entered: "
        f"{', '.join(planned.missing_secrets)}."
        for planned in [*plan.destinations, *plan.sources]
        if planned.missing_secrets
    ]


def _page(request: HttpRequest, plan: Plan | None = None, **context: Any) -> HttpResponse:
    shown: dict[str, Any] = {
        "title": "Export and import rules and sources",
        "app_name": apps.get_app_config("automations").verbose_name,
        "plan": plan,
    }
    if plan is not None:
        shown |= {"problems": plan.problems[:MOST_PROBLEMS], "more_problems": len(plan.problems) - MOST_PROBLEMS}
        shown |= {"secrets_to_enter": _secrets_to_enter(plan)}
    return admin_page(request, "admin/automations/exchange.html", shown | context)
