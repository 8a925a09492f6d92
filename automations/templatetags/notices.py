"""What staff have to know of deliveries that do not go out, on Home."""

from typing import Any

from django import template

from automations.deliveries.standstill import standstill

register = template.Library()


@register.inclusion_tag("admin/automations/notices.html", takes_context=True)
def following_notices(context: dict[str, Any]) -> dict[str, Any]:
    user, token = context["user"], context.get("csrf_token")
    may_confirm = user.has_perm("automations.change_installation")
    return {"standstill": standstill(), "may_confirm": may_confirm, "csrf_token": token}
