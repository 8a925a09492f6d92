"""Staff's word that a database that was copied or restored is the real one."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from automations.deliveries.copies import confirm_this_one
from automations.models import Installation
from sessions_app.database.pieces import bulk_transaction


@admin.site.admin_view
def confirm(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":  # typed into the address bar: the button is on the first page
        return HttpResponseRedirect(reverse("admin:index"))
    if not request.user.has_perm("automations.change_installation"):
        raise PermissionDenied
    who: Any = request.user.pk
    with bulk_transaction():
        confirm_this_one()
        entries, note = Installation.objects.filter(pk=1), "Confirmed as the real one, so it sends."
        LogEntry.objects.log_actions(who, entries, CHANGE, change_message=note, single_object=True)
    messages.success(request, "This is the real one: what waits is sent now.")
    return HttpResponseRedirect(reverse("admin:index"))
