"""Staff who sign in, and the admin's forms filled in as a browser would send them."""

import re
from datetime import datetime
from html import unescape
from typing import Any
from unittest.mock import patch

import time_machine
from django.contrib.auth.models import Group, Permission, User
from django.forms import BoundField, ModelMultipleChoiceField, MultipleChoiceField, MultiWidget
from django.http import HttpResponse
from django.template.response import SimpleTemplateResponse
from django.test import Client

from config.first_run import make_denial_messages, make_groups
from customers.defaults import make_defaults


def staff(group: str | None, username: str = "ana", *, sees_numbers: bool = False) -> Client:
    """The browser of a member of staff: of a first-run group, or without any; `sees_numbers` whatever it may see."""
    make_groups()
    make_defaults()
    make_denial_messages()
    user = User.objects.create_user(username, password="correct horse", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    if sees_numbers:
        user.user_permissions.add(Permission.objects.get(codename="view_numbers"))
    client = Client()
    client.force_login(user)
    client.user = user
    return client


def report_page(client: Client, path: str, now: datetime) -> HttpResponse:
    """A report page as it is then; `path` is below /reports/, or a whole one."""
    with time_machine.travel(now, tick=False):
        response = client.get(path if path.startswith("/") else f"/reports/{path}")
    assert response.status_code == 200
    return response


def form_of(client: Client, path: str) -> dict[str, Any]:
    """What a browser would send back from a page with a form that nobody has touched."""
    return form_in(_unrendered(client, path))


def form_in(response: HttpResponse) -> dict[str, Any]:
    """The same of a page that is there already."""
    assert response.status_code == 200, response
    data: dict[str, Any] = _hidden(response)
    form = response.context_data["adminform"].form
    formsets = [inline.formset for inline in response.context_data["inline_admin_formsets"]]
    for one in [form, *(part for formset in formsets for part in [formset.management_form, *formset.forms])]:
        for field in one:
            data |= _sent(field)
    return data


def list_of(client: Client, path: str) -> dict[str, Any]:
    """What a browser would send back from a list that is edited in place."""
    response = _unrendered(client, path)
    formset = response.context_data["cl"].formset
    data = _hidden(response) | {"_save": "Save"}
    for form in [formset.management_form, *formset.forms]:
        for field in form:
            data |= _sent(field)
    return data


def _unrendered(client: Client, path: str) -> HttpResponse:
    """A page with all that its template would show, but without its text, which takes half of a page's time."""
    with patch.object(SimpleTemplateResponse, "rendered_content", ""):
        return client.get(path)


def _hidden(response: HttpResponse) -> dict[str, Any]:
    """The state that the page says it shows."""
    state = response.context_data.get("shown_state")
    return {} if state is None else {"_shown_state": str(state)}


def _sent(field: BoundField) -> dict[str, Any]:
    value, name = field.value(), field.html_name
    if isinstance(field.field.widget, MultiWidget):
        parts = field.field.widget.decompress(value) if not isinstance(value, list) else value
        widgets = field.field.widget.widgets
        return {
            f"{name}_{i}": widget.format_value(part) or ""
            for i, (widget, part) in enumerate(zip(widgets, parts, strict=True))
        }
    if isinstance(value, bool):
        return {name: "on"} if value else {}
    if isinstance(field.field, ModelMultipleChoiceField):
        return {name: [getattr(item, "pk", item) for item in value or []]}
    if isinstance(field.field, MultipleChoiceField):
        return {name: [str(item) for item in value or []]}
    return {name: "" if value is None else str(value)}


def with_row(data: dict[str, Any], prefix: str, **fields: Any) -> dict[str, Any]:
    """The form with one more row of an inline."""
    index = int(data[f"{prefix}-TOTAL_FORMS"])
    row = {f"{prefix}-{index}-{name}": value for name, value in fields.items()}
    return {**data, f"{prefix}-TOTAL_FORMS": str(index + 1), **row}


def text_of(response: HttpResponse) -> str:
    """What a page says, without its markup."""
    text = re.sub(r"<(script|style).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def errors_of(response: HttpResponse) -> str:
    """Every error that a form shows again, the inlines' included."""
    assert response.status_code == 200, "the form was saved"
    found = [str(response.context["adminform"].form.errors)]
    found += [str(inline.formset.errors) + str(inline.formset.non_form_errors()) for inline in _inlines(response)]
    return unescape(" ".join(found))


def _inlines(response: HttpResponse) -> list[Any]:
    return list(response.context["inline_admin_formsets"])
