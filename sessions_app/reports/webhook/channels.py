"""When each channel's last begin and last end came."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max

from sessions_app.livetok.payloads import BEGIN, END
from sessions_app.models import Session, WebhookEvent
from sessions_app.reports.webhook.agents import MOST_SESSIONS_FOR_AGENTS
from sessions_app.webhook.playing import of_livetok, sessions_of_livetok

NEWEST_EVENTS = 1000
NEWEST_HEARD = 200


@dataclass(frozen=True)
class Heard:
    """By our clock; None where none is known."""

    begin: datetime | None = None
    end: datetime | None = None

    def later_of(self, other: "Heard") -> "Heard":
        return Heard(_later(self.begin, other.begin), _later(self.end, other.end))


def newest_of_channels() -> dict[str, Heard]:
    """As far as the newest sessions tell: a tenth of a second on a large database. An end counts by its session."""
    newest = Session.objects.order_by("-started_at", "-pk").values_list("started_at", flat=True)
    oldest = next(iter(newest[MOST_SESSIONS_FOR_AGENTS : MOST_SESSIONS_FOR_AGENTS + 1]), None)
    found = Session.objects.filter(channel__isnull=False)
    if oldest is not None:
        found = found.filter(started_at__gt=oldest)
    rows = (
        found.order_by().values_list("channel").annotate(begun=Max("begin_received_at"), ended=Max("end_received_at"))
    )
    return merged([(channel, Heard(begun, ended)) for channel, begun, ended in rows], newest_by_events())


def newest_by_events() -> dict[str, Heard]:
    """As far as the newest requests tell: some milliseconds, and a channel that is heard seldom is not among them."""
    events = WebhookEvent.objects.filter(event__in=(BEGIN, END)).exclude(session_id="").order_by("-received_at")
    rows = list(events.values_list("session_id", "is_test", "event", "received_at")[:NEWEST_EVENTS])
    sessions = Session.objects.filter(session_id__in={row[0] for row in rows}, channel__isnull=False)
    known = sessions.values_list("session_id", "is_test", "channel")
    channels = {(name, is_test): slug for name, is_test, slug in known}
    return merged(
        (channels[name, is_test], Heard(begin=at) if event == BEGIN else Heard(end=at))
        for name, is_test, event, at in rows
        if (name, is_test) in channels
    )


def newest_of_all() -> Heard:
    """Of any channel: by the newest requests that were understood and, where those are deleted, the newest sessions.

    What staff played is left out.
    """
    newest = sessions_of_livetok(Session.objects.order_by("-started_at", "-pk"))
    sessions = newest.values_list("begin_received_at", "end_received_at")
    heard = Heard()
    for begun, ended in sessions[:NEWEST_HEARD]:
        heard = heard.later_of(Heard(begun, ended))
    requests = of_livetok(WebhookEvent.objects.order_by("-received_at"))
    events = requests.values_list("event", "verdict", "received_at")
    for event, verdict, at in events[:NEWEST_HEARD]:
        if verdict != WebhookEvent.Verdict.REJECTED and event in (BEGIN, END):
            heard = heard.later_of(Heard(begin=at) if event == BEGIN else Heard(end=at))
    return heard


def merged(rows: Iterable[tuple[str, Heard]], into: dict[str, Heard] | None = None) -> dict[str, Heard]:
    """The latest of each channel."""
    found = dict(into or {})
    for channel, heard in rows:
        found[channel] = heard.later_of(found.get(channel, Heard()))
    return found


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)
