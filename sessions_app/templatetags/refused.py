"""The warning that somebody, most likely LiveTok, knocks without a valid key."""

from datetime import timedelta
from typing import Any

from django import template
from django.db.models import Sum
from django.utils import timezone

from sessions_app.models import RefusedRequests

register = template.Library()


@register.inclusion_tag("admin/sessions_app/refused.html")
def refused_warning() -> dict[str, Any]:
    """Counts are kept by the hour, so what is recent is every hour that had a request within the last sixty minutes."""
    recent = RefusedRequests.objects.filter(last_at__gt=timezone.now() - timedelta(hours=1))
    return {"count": recent.aggregate(total=Sum("count"))["total"], "last": recent.order_by("-last_at").first()}
