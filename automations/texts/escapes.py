"""What keeps a value from meaning something where it is shown. Staff's own words around it are left as they are."""

import html
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

Escape = Callable[[str], str]

_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# What begins emphasis, code, links and HTML; an entity; and what a client could make a link of by itself.
_CARD = re.compile(r"[\\`*_\[\]<>~|]|&(?=#?\w+;)|:(?=//)|\.(?=[^\W\d])|@")


def as_it_is(text: str) -> str:
    """For plain texts and JSON, whose strings are encoded afterwards anyway."""
    return text


def escape_slack(text: str) -> str:
    """For Slack's mrkdwn: `&`, `<` and `>`, and only these, is Slack's own rule.

    https://docs.slack.dev/messaging/formatting-message-text/#escaping. All that calls somebody or is a link stands in
    angle brackets. Asterisks and backticks have no escape there; they change how a name looks, nothing else.
    """
    return text.translate(_SLACK)


def escape_card(text: str) -> str:
    """For the Markdown of Adaptive Cards, a subset of CommonMark: a backslash before what has a meaning.

    https://learn.microsoft.com/en-us/adaptive-cards/authoring-cards/text-features and CommonMark, section 2.4.
    """
    return _CARD.sub(r"\\\g<0>", text)


def escape_html(text: str) -> str:
    """For HTML, between tags and in quoted attributes."""
    return html.escape(text)


def escape_form(text: str) -> str:
    """For `application/x-www-form-urlencoded`."""
    return quote_plus(text, errors="replace")


def escape_address(text: str) -> str:
    """For a part of an address. Raises ValueError for dots alone: encoded or not, servers climb by them."""
    if text and not text.strip("."):
        raise ValueError("a part of an address cannot be dots alone")
    return quote(text, safe="", errors="replace")


ESCAPES: dict[str, Escape] = {"none": as_it_is, "slack": escape_slack, "card": escape_card, "html": escape_html}
