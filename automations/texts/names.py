"""What a text can name. One table feeds the check on saving, the help beside the field, the sample and the data."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from enum import StrEnum
from urllib.parse import urlsplit

# As deep as a context may be, with room to spare.
DEEPEST_VALUE = 20


class Kind(StrEnum):
    """What a name's value is, where it has one. Any of them can be empty (null)."""

    TEXT = "text"
    NUMBER = "number"
    YES_NO = "yes or no"
    MOMENT = "date and time"
    LINK = "link to a page of Frontdesk"
    LIST = "list"
    FREE = "anything: add .key"


@dataclass(frozen=True)
class Name:
    """A name such as `session.id`. `sample` is plain: a moment is ISO text."""

    kind: Kind
    help: str
    sample: object


NAMES: dict[str, Name] = {
    "event.id": Name(Kind.TEXT, "The same however often the event is sent.", "5f1c0b7d9a3e4c62b8d40e7f1a2963cd"),
    "event.trigger": Name(Kind.TEXT, "The trigger's code, such as began_allowed.", "ended"),
    "event.label": Name(Kind.TEXT, "The trigger in words.", "A session ended"),
    "event.at": Name(Kind.MOMENT, "When it happened.", "2026-11-28T13:07:12+01:00"),
    "event.link": Name(Kind.LINK, "The page that shows it.", "https://frontdesk.example.com/reports/sessions/1/"),
    "rule.name": Name(Kind.TEXT, "The rule that fired.", "Tell sales about VIPs"),
    "session.id": Name(Kind.TEXT, "LiveTok's id.", "sess_4f8a21"),
    "session.channel": Name(Kind.TEXT, "The channel as LiveTok names it.", "telephony"),
    "session.channel_label": Name(Kind.TEXT, "The channel as pages call it.", "Telephone"),
    "session.agent_id": Name(Kind.TEXT, "LiveTok's id of the agent.", "agent_7"),
    "session.agent_name": Name(Kind.TEXT, "The agent's newest name.", "Reception"),
    "session.number": Name(Kind.TEXT, "The caller's number as LiveTok sent it.", "+442079460958"),
    "session.external_id": Name(Kind.TEXT, "LiveTok's customer id.", "cus_1001"),
    "session.started_at": Name(Kind.MOMENT, "Its begin.", "2026-11-28T13:02:00+01:00"),
    "session.ended_at": Name(Kind.MOMENT, "Its end; empty while it is open.", "2026-11-28T13:07:12+01:00"),
    "session.duration_seconds": Name(Kind.NUMBER, "Seconds it took; empty while it is open.", 312),
    "session.duration_minutes": Name(Kind.NUMBER, "Minutes it took, to a tenth.", 5.2),
    "session.state": Name(Kind.TEXT, "open, ended, denied or missing_end.", "ended"),
    "session.is_test": Name(Kind.YES_NO, "Whether it is test traffic.", False),
    "session.link": Name(Kind.LINK, "The session's page.", "https://frontdesk.example.com/reports/sessions/1/"),
    "customer.name": Name(Kind.TEXT, "Empty for an unknown caller.", "Ada Lovelace"),
    "customer.number": Name(Kind.TEXT, "The customer's first number.", "+44 20 7946 0958"),
    "customer.numbers": Name(Kind.LIST, "All of the customer's numbers.", ["+44 20 7946 0958", "+44 20 7946 0123"]),
    "customer.email": Name(Kind.TEXT, "The customer's e-mail address.", "ada@example.com"),
    "customer.external_id": Name(Kind.TEXT, "The customer's id in your CRM.", "cus_1001"),
    "customer.status": Name(Kind.TEXT, "active, paused or blocked.", "active"),
    "customer.link": Name(Kind.LINK, "The customer's page.", "https://frontdesk.example.com/reports/customers/1/"),
    "customer.context": Name(Kind.FREE, "What the agent is told; a key that is missing is empty.", {"city": "London"}),
    "tier.name": Name(Kind.TEXT, "The tier at the time.", "Gold"),
    "tier.slug": Name(Kind.TEXT, "The tier's short name.", "gold"),
    "decision.allowed": Name(Kind.YES_NO, "Whether the caller was let in.", True),
    "decision.reason": Name(Kind.TEXT, "The reason's code.", "allowed"),
    "decision.message": Name(Kind.TEXT, "What a denied caller is told; else empty.", "Your time for today is used up."),
    "usage.metric": Name(Kind.TEXT, "Usage alerts alone: what is limited.", "call minutes"),
    "usage.period": Name(Kind.TEXT, "Usage alerts alone: day, week or month.", "day"),
    "usage.used": Name(Kind.NUMBER, "Usage alerts alone: how much is used.", 48.5),
    # Not `usage.limit`: to the template language that is a word of its own, as in `for … limit: 5`.
    "usage.amount": Name(Kind.NUMBER, "Usage alerts alone: how much there is.", 60),
    "usage.left": Name(Kind.NUMBER, "Usage alerts alone: how much is left.", 11.5),
    "usage.percent": Name(Kind.NUMBER, "Usage alerts alone: used of the limit, in whole percent.", 80),
    "usage.resets_at": Name(Kind.MOMENT, "Usage alerts alone: when it starts anew.", "2026-11-29T00:00:00+01:00"),
    "kept.value": Name(Kind.TEXT, "In the link of a kept value alone: what was kept of the answer.", "1234"),
}
GROUPS = frozenset(name.partition(".")[0] for name in NAMES)
LINKS = frozenset(name for name, entry in NAMES.items() if entry.kind is Kind.LINK)
# What follows a list's name without being a name of its own.
PARTS_OF_A_LIST = frozenset({"first", "last", "size"})


def problem_with(path: tuple[object, ...], secrets: Iterable[str] | None = None) -> str | None:
    """Why a path such as ("session", "id") names nothing, in words for staff; None where it does.

    `secrets` are the names of those that the text may use as `secrets.NAME`; None where it may use none at all.
    """
    known = {*NAMES, *(f"secrets.{name}" for name in secrets or ())}
    written = ".".join(str(part) for part in path)
    if path[0] == "secrets" and secrets is None:
        return f"“{written}”: secrets are known in headers, and in a destination's address, alone."
    if path[0] == "secrets" and len(path) > 1 and f"secrets.{path[1]}" not in known:
        return _no_such_secret(str(path[1]), list(secrets or ()))
    groups = {name.partition(".")[0] for name in known} | {"secrets"}
    if path[0] not in groups:
        return f"“{written}” is no name. {_suggestion(written, known)}"
    if len(path) == 1:
        return f"“{written}” is a group of names: say which, such as {_first_of(written, known)}."
    name, rest = f"{path[0]}.{path[1]}", path[2:]
    if name not in known:
        return f"“{written}” is no name. {_suggestion(name, known)}"
    kind = NAMES[name].kind if name in NAMES else Kind.TEXT
    if kind is Kind.FREE or not rest:
        return None
    if kind is Kind.LIST and len(rest) == 1 and (isinstance(rest[0], int) or rest[0] in PARTS_OF_A_LIST):
        return None
    return f"“{written}”: nothing follows {name}, which is {kind.value}."


def _suggestion(written: str, known: set[str]) -> str:
    close = get_close_matches(written, sorted(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else "All are listed under “Names that texts may use”."


def _no_such_secret(name: str, secrets: list[str]) -> str:
    close = get_close_matches(name, sorted(secrets), n=1, cutoff=0.6)
    return f"There is no secret named {name}. Add it below{f', or did you mean {close[0]}?' if close else '.'}"


def _first_of(group: str, known: set[str]) -> str:
    return min((name for name in known if name.startswith(f"{group}.")), default=f"{group}.token")


def data_of(values: Mapping[str, object], zone: tzinfo) -> dict[str, object]:
    """What a text is filled with: plain nested dicts, every name of the table in them, empty where not given.

    `values` are by full name. Aware datetimes become ISO 8601 text in `zone`, the company's, with its offset: so a body
    has JSON's usual form of a moment, and the filter `date` shows the company's hours. Raises KeyError for a name that
    the table lacks, ValueError for a link that is not one and for a datetime without a zone.
    """
    unknown = values.keys() - NAMES.keys()
    if unknown:
        raise KeyError(f"unknown names: {', '.join(sorted(unknown))}")
    data: dict[str, dict[str, object]] = {group: {} for group in sorted(GROUPS)}
    for name, entry in NAMES.items():
        group, _, key = name.partition(".")
        value = plain(values.get(name), zone)
        if entry.kind is Kind.LINK and value is not None:
            _refuse_bad_link(name, value)
        if entry.kind is Kind.FREE and value is None:
            value = {}
        data[group][key] = value
    return dict(data)


def sample_data() -> dict[str, object]:
    """The samples of the table, for a preview where there is no session yet."""
    return data_of({name: entry.sample for name, entry in NAMES.items()}, UTC)


def plain(value: object, zone: tzinfo = UTC, depth: int = 0) -> object:
    """A value as JSON has it. What is deeper than 20 levels, or no value of JSON's, becomes text or empty."""
    if depth > DEEPEST_VALUE:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return value.astimezone(zone).isoformat(timespec="seconds")
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Mapping):
        return {sound(str(key)): plain(item, zone, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, zone, depth + 1) for item in value]
    return sound(str(value))


def sound(text: str) -> str:
    """Text that UTF-8 can carry: halves of surrogate pairs, which JSON lets through, become U+FFFD."""
    return str(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _refuse_bad_link(name: str, value: object) -> None:
    """Links are put in without an escape, so nothing that could mean something to a chat may be in them."""
    if not isinstance(value, str) or not set(value).isdisjoint("<>|()[]\\\"'` \n\r\t*"):
        raise ValueError(f"{name} is no link: {value!r}")
    if urlsplit(value).scheme not in {"http", "https"}:
        raise ValueError(f"{name} is no link: {value!r}")
