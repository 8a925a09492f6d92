"""The banner that all staff's pages show while the emergency switch is on."""

from typing import Any

from django import template
from django.utils import timezone

from customers.models import Policy

register = template.Library()


@register.inclusion_tag("admin/emergency.html")
def emergency_banner() -> dict[str, Any]:
    policy = Policy.objects.first()
    switch = policy.emergency_at(timezone.now()) if policy else Policy.Emergency.NORMAL.value
    return {"policy": policy, "switch": "" if switch == Policy.Emergency.NORMAL else switch}
