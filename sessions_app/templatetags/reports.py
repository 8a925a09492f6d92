"""What report templates need beyond Django's own filters."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from zlib import crc32

from django import template
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.masking import shown_number, shown_text
from sessions_app.reports.frame.figures import number_words
from sessions_app.wording import duration_words

register = template.Library()

register.filter("duration", duration_words)
register.filter("number", number_words)
register.filter("as_number", shown_number)
register.filter("as_text", shown_text)


@register.filter(expects_localtime=True)
def moment(at: datetime) -> str:
    """As `date:"D j M Y, H:i:s"` says it, at a fifth of the time: lists have fifty lines."""
    return f"{at:%a %-d %b %Y, %H:%M:%S}"


@register.filter(expects_localtime=True)
def iso(at: datetime) -> str:
    """For machines, as `date:"c"` has it."""
    return at.isoformat()


@register.filter
def headed(cells: Iterable[Any], heads: Sequence[str]) -> Iterable[tuple[str, Any]]:
    """A table's cells, each with its column's head, by which a phone shows them."""
    return zip(heads, cells, strict=True)


BAR = """<svg class="bar{}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">\
<rect class="track" width="100" height="8"/><rect class="filled" width="{}" height="8"/></svg>"""


@register.filter
@lru_cache(maxsize=4096)
def bar(percent: float, kind: str = "") -> SafeString:
    """A share as a bar, 0 to 100; the number beside it says the same. `kind` is good, odd, bad or blank."""
    return format_html(BAR, f" {kind}" if kind else "", percent or 0)


@register.filter
def what_id(definition: str, label: str) -> str:
    """The id of what a label means: two on a page that share it say the same."""
    return f"what-{crc32(f'{label} {definition}'.encode()):08x}"


@register.filter
def without(query: str, name: str) -> str:
    """An address's query without one of its parameters, and from the first page."""
    left = QueryDict(query, mutable=True)
    for dropped in (name, "older", "newer", "format"):
        left.pop(dropped, None)
    return left.urlencode()
