"""What report templates need beyond Django's own filters."""

from django import template
from django.http import QueryDict

from sessions_app.reports.figures import number_words
from sessions_app.wording import duration_words

register = template.Library()

register.filter("duration", duration_words)
register.filter("number", number_words)


@register.filter
def without(query: str, name: str) -> str:
    """An address's query without one of its parameters, and from the first page."""
    left = QueryDict(query, mutable=True)
    for dropped in (name, "older", "newer", "format"):
        left.pop(dropped, None)
    return left.urlencode()
