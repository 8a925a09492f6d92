"""The banner that all staff's pages show while the emergency switch is on."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils import timezone

from customers.models import Policy

register = template.Library()


@register.inclusion_tag("admin/emergency.html", takes_context=True)
def emergency_banner(context: Mapping[str, Any]) -> dict[str, Any]:
    policy = Policy.objects.first()
    switch = policy.emergency_at(timezone.now()) if policy else Policy.Emergency.NORMAL.value
    may = context["user"].has_perm
    return {
        "policy": policy,
        "switch": "" if switch == Policy.Emergency.NORMAL else switch,
        "may_change": may("customers.change_policy"),
        "may_see": may("customers.view_policy"),
    }
