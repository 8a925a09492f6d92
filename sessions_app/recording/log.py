"""The log of LiveTok's requests: a row of each, written in the transaction of what it does."""

from dataclasses import dataclass

from sessions_app.database.quick_rows import new_row
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionBegin, SessionEvent
from sessions_app.models import Session, WebhookEvent


@dataclass(frozen=True)
class Outcome:
    """What became of an event, stored for good once the transaction has ended."""

    session: Session
    event: WebhookEvent

    @property
    def answer(self) -> bytes:
        return bytes(self.session.answer or b"")


def log_of(event: SessionEvent, delivery: Delivery, session: Session, verdict: WebhookEvent.Verdict) -> Outcome:
    row = event_row(event, delivery, verdict)
    if session.is_erased:
        row.body = None
    log_event(row, delivery)
    return Outcome(session, row)


def log_event(row: WebhookEvent, delivery: Delivery) -> None:
    """Log a request, once even where we bring it to the database again."""
    same = WebhookEvent.objects.filter(received_at=row.received_at, session_id=row.session_id, event=row.event)
    # Bodies are compared as they came: the same one may be stored packed in more than one way.
    if not (delivery.is_again and row.body in same.filter(key=row.key).values_list("body", flat=True)):
        row.save(force_insert=True)


def event_row(event: SessionEvent, delivery: Delivery, verdict: WebhookEvent.Verdict) -> WebhookEvent:
    return new_row(
        WebhookEvent,
        received_at=event.received_at,
        event="session_begin" if isinstance(event, SessionBegin) else "session_end",
        session_id=event.session_id,
        is_test=event.is_test,
        verdict=verdict,
        status=200,
        took_ms=delivery.took_ms(),
        key=delivery.key,
        address=delivery.address,
        route=event.route,
        body=event.body,
    )
