"""One delivery of LiveTok's, from its bytes to what is stored and answered. HTTP stands in `views`."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from sessions_app.decision.answer import AnswerGiven
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionBegin, SessionEnd
from sessions_app.livetok.payloads import IgnoredEvent, Refused, read_event
from sessions_app.models import WebhookEvent
from sessions_app.recording.begin import begin_session, begin_session_as_answered
from sessions_app.recording.end import end_session
from sessions_app.recording.log import log_event
from sessions_app.spool.waiting import begins_that_wait

logger = logging.getLogger("frontdesk.webhook")

LARGEST_BODY = 64 * 1024
NOTHING_TO_SAY = b"{}"


@dataclass(frozen=True)
class Reply:
    """What a request gets: status and bytes, and the row that was logged."""

    status: int
    content: bytes
    event: WebhookEvent


def receive(
    body: bytes, *, route: str, received_at: datetime, delivery: Delivery, given: AnswerGiven | None = None
) -> Reply:
    """Take one authenticated body. It is stored for good when this returns; an error means that nothing was.

    `given` is what a begin was answered already, while nothing could be stored.
    """
    try:
        event = read_delivered(body, route, received_at, delivery.encoding)
    except Refused as refused:
        return _refuse(400, refused, body, route, received_at, delivery)
    if isinstance(event, IgnoredEvent):
        row = _log(
            delivery,
            received_at=received_at,
            route=route,
            event=event.name,
            session_id=event.session_id,
            verdict=WebhookEvent.Verdict.IGNORED,
            status=200,
            body=body,
        )
        return Reply(200, NOTHING_TO_SAY, row)
    if isinstance(event, SessionBegin):
        # LiveTok may send again what was answered during an outage and is not fed yet: the answer must be the same.
        given = given or begins_that_wait().answer_to(event)
        outcome = begin_session(event, delivery) if given is None else begin_session_as_answered(event, delivery, given)
        _write_line(outcome.event, outcome.session.reason)
        return Reply(200, outcome.answer, outcome.event)
    outcome = end_session(event, delivery)
    _write_line(outcome.event)
    return Reply(200, NOTHING_TO_SAY, outcome.event)


def read_delivered(
    body: bytes, route: str, received_at: datetime, encoding: str
) -> SessionBegin | SessionEnd | IgnoredEvent:
    """The event of a body. Raises Refused, also for one that is packed."""
    if encoding:
        raise Refused("Content-Encoding", f"send the body as it is, without this header; {encoding} is not taken")
    return read_event(body, route=route, received_at=received_at, phone_region=settings.PHONE_REGION)


def process_again(event: WebhookEvent) -> WebhookEvent:
    """Take a rejected body once more, as if it came now to the same address. Returns the new row."""
    delivery = Delivery(key=event.key, address=event.address)
    reply = receive(bytes(event.body or b""), route=event.route, received_at=event.received_at, delivery=delivery)
    event.processed_again_at = timezone.now()
    event.save(update_fields=["processed_again_at"])
    return reply.event


def refuse_too_large(*, route: str, received_at: datetime, delivery: Delivery) -> Reply:
    """Keep that a request came with a larger body than we take."""
    return _refuse(413, TOO_LARGE, None, route, received_at, delivery)


TOO_LARGE = Refused("body", f"send at most {LARGEST_BODY // 1024} KB")


def _refuse(
    status: int, refused: Refused, body: bytes | None, route: str, received_at: datetime, delivery: Delivery
) -> Reply:
    row = _log(
        delivery,
        received_at=received_at,
        route=route,
        event=refused.event,
        session_id=refused.session_id,
        verdict=WebhookEvent.Verdict.REJECTED,
        status=status,
        error=str(refused)[:300],
        body=body,
    )
    return Reply(status, as_error(refused), row)


def as_error(refused: Refused) -> bytes:
    return json.dumps({"error": {"field": refused.field, "message": refused.problem}}).encode()


def _log(delivery: Delivery, **fields: Any) -> WebhookEvent:
    row = WebhookEvent(key=delivery.key, address=delivery.address, took_ms=delivery.took_ms(), **fields)
    log_event(row, delivery)
    _write_line(row)
    return row


def _write_line(event: WebhookEvent, reason: str | None = None) -> None:
    logger.info(
        "webhook",
        extra={
            "event": event.event,
            "session_id": event.session_id,
            "verdict": str(event.verdict),
            "reason": reason,
            "status": event.status,
            "ms": event.took_ms,
        },
    )
