"""What LiveTok gets while the database is away, and what is kept of it on disk. Nothing here waits for the database."""

import logging
import time
from datetime import datetime

from django.conf import settings

from sessions_app.answer import AnswerGiven, fallback_answer
from sessions_app.decision import DENIAL_MESSAGES, Reason
from sessions_app.events import SessionBegin
from sessions_app.lifecycle import Delivery
from sessions_app.payloads import IgnoredEvent, Refused, read_event
from sessions_app.reception import NOTHING_TO_SAY, TOO_LARGE, as_error
from sessions_app.situation import denial_message
from sessions_app.spool import SpooledRequest, spool

logger = logging.getLogger("frontdesk.webhook")

READ_MESSAGE_EVERY_SECONDS = 60.0


class MustTryAgain(Exception):
    """Nothing was kept; LiveTok has to send the request again."""


def take_without_database(
    body: bytes | None, *, route: str, received_at: datetime, delivery: Delivery
) -> tuple[int, bytes]:
    """Keep a request on disk for the worker to feed to the database. Returns the status and content of its answer.

    `body` is None where it was too large. Raises MustTryAgain.
    """
    status, content, given = _reply_to(body, route, received_at)
    request = SpooledRequest(
        received_at=received_at,
        route=route,
        body=body,
        status=status,
        key=delivery.key,
        address=delivery.address,
        took_ms=delivery.took_ms(),
        reason=given.reason.value if given else None,
        answer=given.content if given else None,
    )
    try:
        spool.append(request)
    except OSError as error:
        logger.exception("a request could not be kept on disk, so LiveTok has to send it again")
        raise MustTryAgain from error
    logger.info(
        "webhook", extra={"verdict": "spooled", "reason": request.reason, "status": status, "ms": delivery.took_ms()}
    )
    return status, content


def _reply_to(body: bytes | None, route: str, received_at: datetime) -> tuple[int, bytes, AnswerGiven | None]:
    if body is None:
        return 413, as_error(TOO_LARGE), None
    try:
        event = read_event(body, route=route, received_at=received_at, phone_region=settings.PHONE_REGION)
    except Refused as refused:
        return 400, as_error(refused), None
    if isinstance(event, IgnoredEvent) or not isinstance(event, SessionBegin):
        return 200, NOTHING_TO_SAY, None
    given = fallback_answer(settings.DECISION_FALLBACK, _message.text)
    if given is None:
        raise MustTryAgain
    return 200, given.content, given


class _DenialMessage:
    """Staff's sentence for a denial without the database, as it was when it could be read last."""

    text = DENIAL_MESSAGES[Reason.FALLBACK_DENY]
    read_at: float | None = None


_message = _DenialMessage()


def remember_denial_message() -> None:
    """Read the sentence once a minute, where it may be needed."""
    now = time.monotonic()
    if settings.DECISION_FALLBACK == "deny" and (
        _message.read_at is None or now - _message.read_at > READ_MESSAGE_EVERY_SECONDS
    ):
        _message.text, _message.read_at = denial_message(Reason.FALLBACK_DENY), now
