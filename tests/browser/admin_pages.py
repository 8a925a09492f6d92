"""Every page of the admin, with something on it. It runs in the server's installation, without pytest."""

import json
from datetime import timedelta

from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from config.models import FailedSignIns
from customers.models import Customer, CustomerChange, Erasure, LimitOverride, TopUp
from customers.scheduling import start_draft
from sessions_app.models import RefusedRequests
from sessions_app.replay.running import ask_for_replay

CONTEXT = {"greeting": "Hello", "vip": True}


def complete_and_list() -> None:
    """After `what_follows.make_all`. Prints the addresses as JSON.

    They are list, add and change of each registered model, as far as it has them, and one each of the pages of history
    and of deleting that are made alike for several.
    """
    now = timezone.now()
    FailedSignIns.objects.create(hour=now, count=3)
    RefusedRequests.objects.create(hour=now, count=3, last_address="192.0.2.7", last_at=now)
    customer = Customer.objects.order_by("pk").first()
    LimitOverride.objects.create(customer=customer, metric="call_minutes", period="day", amount=90)
    TopUp.objects.create(customer=customer, metric="call_minutes", amount=90)
    ask_for_replay(start_draft(customer.tier, None), 30, None)
    CustomerChange.objects.create(customer=customer, tier=customer.tier, starts_at=now + timedelta(days=300))
    Customer.objects.filter(pk=customer.pk).update(context=CONTEXT)
    erased = Customer.objects.create(name="Erased customer", tier=customer.tier)
    Erasure.objects.create(customer=erased, requested_at=now, finished_at=now, by="admin")
    print(json.dumps(["/admin/", "/admin/password_change/", *addresses()]))


def addresses() -> list[str]:
    request = RequestFactory().get("/")
    request.user = User.objects.get(is_superuser=True)
    found, seen = [], set()
    for model, model_admin in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{name}_changelist"))
        if model_admin.has_add_permission(request):
            found.append(reverse(f"{name}_add"))
        row = model._default_manager.order_by("pk").first()
        assert row is not None, f"make a {model._meta.verbose_name} above, so that its pages are looked at"
        made_by = {}
        if model_admin.has_view_or_change_permission(request, row):
            found.append(reverse(f"{name}_change", args=[row.pk]))
            made_by["history"] = (type(model_admin).history_view, model_admin.object_history_template)
        if model_admin.has_delete_permission(request, row):
            made_by["delete"] = (type(model_admin).delete_view, model_admin.delete_confirmation_template)
        for page, how in made_by.items():
            if how not in seen:
                seen.add(how)
                found.append(reverse(f"{name}_{page}", args=[row.pk]))
    return found
