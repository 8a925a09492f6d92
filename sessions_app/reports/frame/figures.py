"""A figure as a page shows it: its value in words, what it means, how it changed, and the sessions behind it."""

from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from urllib.parse import quote_plus

from django.urls import reverse

from customers.limits import Limit, Metric

NOTHING = "–"


@dataclass(frozen=True)
class Figure:
    """`address` leads to just the sessions that it counts. `change_kind` is "good", "bad" or blank.

    `numbers` are what files have of it: each a name with its unit, and the number, or None where there is none.
    """

    label: str
    value: str
    definition: str = ""
    address: str = ""
    note: str = ""
    change: str = ""
    change_kind: str = ""
    numbers: tuple[tuple[str, float | None], ...] = ()


def sessions_address(**filters: object) -> str:
    """The list of sessions, narrowed by its own filters."""
    return f"{_list_address()}{query_of(**filters)}"


def query_of(**filters: object) -> str:
    """A page's filters as its address has them; those that are None, False or blank are left out."""
    query = "&".join(filter(None, map(_asked, filters, filters.values())))
    return f"?{query}" if query else ""


# A page has hundreds of addresses, with the same few days and names. `typed`, since True is 1.
@lru_cache(maxsize=4096, typed=True)
def _asked(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"{name}=on" if value else ""
    text = "" if value is None else str(value)
    return f"{name}={quote_plus(text)}" if text else ""


def used_address(first_day: date, last_day: date, *, minutes: bool = False, **filters: object) -> str:
    """The sessions that count as used on customers' own days; for `minutes`, also those that went on into them."""
    return sessions_address(
        **filters, first_day=first_day, last_day=last_day, own_days=True, used=True, reaching=minutes
    )


def full_days_address(customer_id: int, which: str) -> str:
    """The sessions of the days that `shares.FULL_DAYS` counts as full."""
    return sessions_address(customer=customer_id, used=True, at_limit=which)


def filled_address(customer_id: int, limit: Limit, which: str) -> str:
    """The sessions that used a limit in the periods that `shares.often_filled` counts."""
    return sessions_address(
        customer=customer_id,
        channel=limit.channel,
        agent=limit.agent,
        used=True,
        calls=limit.metric is Metric.CALL_MINUTES,
        at_limit=which,
        limit=f"{limit.metric}_{limit.period}",
        limit_channel=limit.channel,
        limit_agent=limit.agent,
    )


def agent_address(agent_id: str) -> str:
    """The page of what one agent's sessions did."""
    return reverse("reports:overview") + query_of(agent=agent_id, period="30d")


@cache
def _list_address() -> str:
    return reverse("reports:sessions")


def number_words(number: float, decimals: int = 0) -> str:
    """With commas between thousands."""
    return f"{number:,.{decimals}f}"


def count_words(number: int, noun: str) -> str:
    """Such as "1 session" and "2,255 sessions"."""
    return f"{number_words(number)} {noun}{'' if number == 1 else 's'}"


def percent_words(share: float, decimals: int = 0, *, sign: str = "-") -> str:
    """Such as "80 %" of 0.8. `sign` as format specifications have it: "+" shows both."""
    return signed(f"{share:{sign}.{decimals}%}".replace("%", " %"))


def signed(words: str) -> str:
    """A number's words with a minus sign in place of the hyphen."""
    return words.replace("-", "−")


def share_words(part: float, whole: float) -> str:
    """A percentage; a dash where there is nothing to divide by."""
    return percent_words(part / whole, 1) if whole else NOTHING


def change_words(current: float, before: float) -> str:
    """How an amount changed, in per cent of what it was before."""
    if not before:
        return "new" if current else "as before"
    change = (current - before) / before
    return percent_words(change, 1, sign="+") if abs(change) >= 0.0005 else "as before"


def change_percent(current: float | None, before: float | None) -> float | None:
    """The same as a number, for files; None where there is nothing to divide by."""
    return None if current is None or not before else round(100 * (current - before) / before, 1)


def points_words(current: float | None, before: float | None) -> str:
    """How a rate (0 to 1) changed, in percentage points; blank where one of them has nothing to divide by."""
    if current is None or before is None:
        return ""
    change = (current - before) * 100
    return signed(f"{change:+.1f} points") if abs(change) >= 0.05 else "as before"


def kind_of_change(current: float | None, before: float | None, *, more_is_good: bool | None) -> str:
    """Whether a change is good or bad news; blank where it is neither."""
    if more_is_good is None or current is None or before is None or current == before:
        return ""
    return "good" if (current > before) == more_is_good else "bad"
