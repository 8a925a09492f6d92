"""What LiveTok gets while nothing can be stored, and what is kept of it on disk."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from django.conf import settings

from sessions_app.database.patience import DATABASE_ERRORS, READ_SECONDS, Patience, limited, note_failure
from sessions_app.database.pulse import pulse
from sessions_app.decision.answer import AnswerGiven, fallback_answer
from sessions_app.decision.judgement import denial_message
from sessions_app.decision.rules import DENIAL_MESSAGES, Reason
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.events import SessionBegin, SessionEnd
from sessions_app.livetok.payloads import BEGIN, END, IgnoredEvent, Refused
from sessions_app.recording.by_reading import decide_by_reading
from sessions_app.recording.hooks import brought_for
from sessions_app.recording.reading import read_begin
from sessions_app.spool.files import NotAlone, SpooledRequest, deciding_alone, spool
from sessions_app.spool.waiting import begins_that_wait
from sessions_app.webhook.metrics import FALLBACK, SPOOLED, count_request
from sessions_app.webhook.reception import NOTHING_TO_SAY, TOO_LARGE, as_error, read_delivered

logger = logging.getLogger("frontdesk.webhook")

READ_MESSAGE_EVERY_SECONDS = 60.0


class MustTryAgain(Exception):
    """Nothing was kept; LiveTok has to send the request again."""


def take_without_storing(
    body: bytes | None, *, route: str, received_at: datetime, delivery: Delivery
) -> tuple[int, bytes]:
    """Keep a request on disk for the worker to feed to the database. Returns the status and content of its answer.

    A begin is decided by reading; where the database cannot be read either, DECISION_FALLBACK answers it.
    `body` is None where it was too large. Raises MustTryAgain.
    """
    status, content, event = _read(body, route, received_at, delivery.encoding)

    def kept(given: AnswerGiven | None) -> Callable[[], None]:
        return spool.write(
            SpooledRequest(
                received_at=received_at,
                route=route,
                body=body,
                status=status,
                key=delivery.key,
                address=delivery.address,
                took_ms=delivery.took_ms(),
                reason=given.reason.value if given else None,
                answer=given.content if given else None,
                decision=given.decision if given else None,
                encoding=delivery.encoding,
            )
        )

    try:
        given, sync = _answered(event, delivery, kept) if isinstance(event, SessionBegin) else (None, kept(None))
        sync()
    except OSError as error:
        logger.exception("a request could not be kept on disk, so LiveTok has to send it again")
        raise MustTryAgain from error
    reason = given.reason.value if given else None
    took_ms = delivery.took_ms()
    logger.info("webhook", extra={"verdict": "spooled", "reason": reason, "status": status, "ms": took_ms})
    kind = BEGIN if given else END if isinstance(event, SessionEnd) else ""
    is_fallback = given is not None and given.reason in (Reason.FALLBACK_ALLOW, Reason.FALLBACK_DENY)
    count_request(kind, FALLBACK if is_fallback else SPOOLED, took_ms / 1000)
    return status, given.content if given else content


def _read(
    body: bytes | None, route: str, received_at: datetime, encoding: str
) -> tuple[int, bytes, SessionBegin | SessionEnd | IgnoredEvent | None]:
    """The status, the answer unless it is a begin's, and the event; None where it cannot be understood."""
    if body is None:
        return 413, as_error(TOO_LARGE), None
    try:
        event = read_delivered(body, route, received_at, encoding)
    except Refused as refused:
        return 400, as_error(refused), None
    return 200, NOTHING_TO_SAY, event


def _answered(
    event: SessionBegin, delivery: Delivery, kept: Callable[[AnswerGiven | None], Callable[[], None]]
) -> tuple[AnswerGiven, Callable[[], None]]:
    """A begin's answer, written, and what brings it to the disk for good."""
    if pulse.can_be_read:
        try:
            # What was spent on asking others for context, the answer must not come later for.
            seconds = READ_SECONDS - min(READ_SECONDS / 2, brought_for(delivery).seconds)
            with limited(Patience(seconds, only_reads=True)) as patience:
                read_begin(event)  # a connection, and a statement that it has to prepare: nobody else waits for that
                with deciding_alone(lambda: not patience.is_over):
                    decided = begins_that_wait().answer_to(event) or decide_by_reading(event, delivery)
                    if decided is not None:
                        return decided, kept(decided)
        except NotAlone:
            logger.error("a begin could not be decided by reading: too many others were")
        except DATABASE_ERRORS as error:
            note_failure(error)
    given = fallback_answer(settings.DECISION_FALLBACK, _message.text)
    if given is None:
        raise MustTryAgain
    return given, kept(given)


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
