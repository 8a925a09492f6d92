"""What became of an attempt: delivered, tried again later, failed, or unknown. And when a destination is paused."""

import json
import logging
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import F
from django.db.models.functions import Now

from automations.apart import AWAY, each_alone
from automations.deliveries.claiming import Claim, database_now
from automations.deliveries.masks import masked
from automations.facts import address_of_this, destination_page
from automations.models import Attempt, Delivery, Destination
from automations.outgoing.mail import has_mail_server
from automations.outgoing.timed_mail import MAIL_SECONDS, mail_connection
from automations.texts.liquid import TextError, fill
from automations.texts.pointers import PointerError, value_at
from sessions_app.database.pieces import bulk_transaction

logger = logging.getLogger("frontdesk.automations")

AGAIN_AFTER = [
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
]
SPREAD = 0.2
LONGEST_WAIT = timedelta(days=1)
TRIED_AGAIN = {408, 425, 429, *range(500, 600)}
GONE = 410
PAUSED_AFTER_FAILURES, PAUSED_AFTER = 20, timedelta(minutes=15)
SHOWN_CHARACTERS = 4000

State = Delivery.State


@dataclass(frozen=True)
class Tried:
    """What an attempt saw. `status` is None where no answer came; `may_have_arrived`: it went out all the same."""

    seconds: float
    status: int | None = None
    error: str = ""
    answer: bytes = b""
    retry_after: str = ""
    may_have_arrived: bool = False
    secrets: Collection[str] = ()
    # Of a mail: who has it now, and whether those that were refused would be refused for ever.
    reached: Sequence[str] = ()
    is_final: bool | None = None
    # Nothing was tried: a secret's key is gone, say. The destination waits for a hand.
    pauses_because: str = ""

    @property
    def is_good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300 and not self.error


def record(claim: Claim, tried: Tried) -> bool:
    """Store the attempt, and what follows. False, with nothing stored, where the lease is not ours any more."""
    return not record_all([(claim, tried)])


def record_all(
    results: Sequence[tuple[Claim, Tried]], tell: Callable[[Destination], object] | None = None
) -> list[Claim]:
    """The same for some at once. Returns those whose lease is not ours any more.

    What cannot be recorded is closed by itself, with the reason. `tell` is called for each destination that this
    pauses: it may take as long as a mail takes.
    """
    paused: list[Destination] = []
    late: list[Claim] = []
    try:
        each_alone(results, lambda some: _record_together(some, paused, late), _close)
    finally:
        for destination in paused:
            (tell or tell_owner)(destination)
    return late


def _record_together(results: Sequence[tuple[Claim, Tried]], paused: list[Destination], late: list[Claim]) -> None:
    newly_paused: list[Destination] = []
    with bulk_transaction():
        now = database_now()
        # Destinations first, as whoever claims does it: else each could wait for the other.
        destinations = _locked({claim.delivery.destination_id for claim, _ in results})
        leases = Delivery.objects.filter(pk__in=[claim.delivery.pk for claim, _ in results])
        held = dict(leases.order_by("pk").select_for_update(of=("self",)).values_list("pk", "lease"))
        counted = [(claim, tried) for claim, tried in results if held.get(claim.delivery.pk) == claim.lease]
        _change(counted, now)
        Attempt.objects.bulk_create(_attempt(claim, tried, now) for claim, tried in counted)
        for claim, tried in counted:
            destination = destinations[claim.delivery.destination_id]
            if _count(destination, tried, now):
                newly_paused.append(destination)
    paused += newly_paused
    late += [claim for claim, _ in results if held.get(claim.delivery.pk) != claim.lease]


def _close(result: tuple[Claim, Tried], fault: Exception) -> None:
    """What came of an attempt cannot be stored as it is. What the receiver took is delivered all the same."""
    claim, tried = result
    logger.error("a result cannot be recorded", exc_info=fault, extra={"delivery": str(claim.delivery.key)})
    is_whatsapp = claim.delivery.destination.kind == Destination.Kind.WHATSAPP
    otherwise = State.UNKNOWN if is_whatsapp and tried.may_have_arrived else State.FAILED
    state = State.DELIVERED if tried.is_good else otherwise
    because = f"What came of it could not be recorded ({type(fault).__name__}): the log says why."
    try:
        with bulk_transaction():
            ours = Delivery.objects.filter(pk=claim.delivery.pk, lease=claim.lease)
            if ours.update(state=state, finished_at=Now(), lease=None, lease_until=None):
                Attempt.objects.create(
                    delivery=claim.delivery, started_at=Now(), seconds=0, status=tried.status, error=because
                )
    except AWAY:
        raise
    except Exception:  # its lease ends by itself, and is counted
        logger.exception("nor can it be closed", extra={"delivery": str(claim.delivery.key)})


def _change(counted: Sequence[tuple[Claim, Tried]], now: datetime) -> None:
    """Those that are simply delivered, which most are, in one statement."""
    delivered = {"state": State.DELIVERED, "finished_at": now}
    simply = []
    for claim, tried in counted:
        changes = _outcome(claim.delivery, tried, now)
        if changes == delivered:
            simply.append(claim.delivery.pk)
        else:
            Delivery.objects.filter(pk=claim.delivery.pk).update(lease=None, lease_until=None, **changes)
    if simply:
        Delivery.objects.filter(pk__in=simply).update(lease=None, lease_until=None, **delivered)


def _locked(pks: Collection[int]) -> dict[int, Destination]:
    locked = Destination.objects.filter(pk__in=pks).order_by("pk").select_for_update(of=("self",), no_key=True)
    return {destination.pk: destination for destination in locked}


def _attempt(claim: Claim, tried: Tried, now: datetime) -> Attempt:
    return Attempt(
        delivery=claim.delivery,
        started_at=now - timedelta(seconds=tried.seconds),
        seconds=tried.seconds,
        status=tried.status,
        error=masked(tried.error, tried.secrets)[:500],
        answer=masked(tried.answer.decode(errors="replace"), tried.secrets)[:SHOWN_CHARACTERS],
    )


def _outcome(delivery: Delivery, tried: Tried, now: datetime) -> dict[str, object]:
    """The delivery's fields that the attempt changes."""
    if tried.is_good:
        return {"state": State.DELIVERED, "finished_at": now} | _kept(delivery, tried)
    if tried.pauses_because:
        return _waits_for_staff(now)
    if delivery.destination.kind == Destination.Kind.WHATSAPP and tried.may_have_arrived:
        return {"state": State.UNKNOWN, "finished_at": now}
    if tried.status == GONE:
        return _waits_for_staff(now)
    # A mail server's codes are others than HTTP's.
    is_final = tried.is_final if tried.is_final is not None else tried.status not in {None, *TRIED_AGAIN}
    reached = {"reached": ", ".join(tried.reached)} if tried.reached else {}
    if is_final or delivery.attempts_made > len(AGAIN_AFTER):
        return {"state": State.FAILED, "finished_at": now} | reached
    wait = wait_before(delivery.attempts_made, tried.retry_after, now)
    return {"state": State.WAITING, "next_attempt_at": now + wait} | reached


def _waits_for_staff(now: datetime) -> dict[str, object]:
    """The destination is paused, and its delivery goes out once that is resumed: no attempt is used up."""
    return {"state": State.WAITING, "next_attempt_at": now, "attempts_made": F("attempts_made") - 1}


def wait_before(attempts_made: int, retry_after: str, now: datetime) -> timedelta:
    """How long until the next attempt: what the table says ± 20 %, or longer where the receiver asks for it.

    A day at most. Less than the table says is nothing to ask for: all attempts would be over in a moment.
    """
    own = AGAIN_AFTER[attempts_made - 1] * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - no secret
    asked = _seconds_of(retry_after, now)
    return own if asked is None else max(own, min(asked, LONGEST_WAIT))


def _seconds_of(retry_after: str, now: datetime) -> timedelta | None:
    """RFC 9110, section 10.2.3: seconds, or a date."""
    if retry_after.strip().isdecimal() and len(retry_after) < 10:
        return timedelta(seconds=int(retry_after))
    try:
        return parsedate_to_datetime(retry_after) - now
    except (TypeError, ValueError, OverflowError):
        return None


def _kept(delivery: Delivery, tried: Tried) -> dict[str, object]:
    """The value that staff want to keep of the answer, where it has one."""
    if not delivery.kept_pointer:
        return {}
    try:
        value = value_at(json.loads(tried.answer), delivery.kept_pointer)
    except (PointerError, ValueError, RecursionError):
        return {}
    if value is None or isinstance(value, (dict, list)):
        return {}
    text = masked(str(value), tried.secrets)[:300]
    try:
        link = fill(delivery.kept_link_text, {"kept": {"value": text}}) if delivery.kept_link_text else ""
    except TextError:
        link = ""
    link = masked(link, tried.secrets)
    return {"kept_value": text, "kept_link": link[:1000] if link.startswith(("https://", "http://")) else ""}


def _count(destination: Destination, tried: Tried, now: datetime) -> bool:
    """Count failures in a row. Whether this one pauses it. A mail server that takes some recipients is no failure."""
    if tried.is_good or tried.reached:
        if destination.failures_in_row:
            destination.failures_in_row, destination.failing_since = 0, None
            _keep_count(destination)
        return False
    destination.failures_in_row += 1
    destination.failing_since = destination.failing_since or now
    because = tried.pauses_because or _why_pause(destination, tried, now)
    is_new = bool(because) and destination.paused_at is None
    if is_new:  # its history tells of it
        destination.paused_at, destination.paused_because = now, because[:300]
        destination.save(update_fields=["failures_in_row", "failing_since", "paused_at", "paused_because"])
    else:
        _keep_count(destination)
    return is_new


def _keep_count(destination: Destination) -> None:
    """Without a row of its history: it is no edit."""
    Destination.objects.filter(pk=destination.pk).update(
        failures_in_row=destination.failures_in_row, failing_since=destination.failing_since
    )


def _why_pause(destination: Destination, tried: Tried, now: datetime) -> str:
    if tried.status == GONE:
        return "It answered 410: it is gone for good."
    assert destination.failing_since is not None
    if destination.failures_in_row >= PAUSED_AFTER_FAILURES and now - destination.failing_since >= PAUSED_AFTER:
        return f"{destination.failures_in_row} attempts in a row failed."
    return ""


def tell_owner(destination: Destination) -> None:
    """A mail of its own, not a delivery: what sends those may be what fails. Best effort; the admin says it anyway."""
    logger.warning("destination paused", extra={"destination": destination.name})
    if not (destination.owner_email and has_mail_server()):
        return
    page = address_of_this(destination_page(destination.pk))
    text = (
        f"{destination.paused_because}\n\nWhat is for “{destination.name}” waits, and nothing is lost. Mend it, "
        f"then resume it:\n{page}\n"
    )
    try:
        send_mail(
            f"Frontdesk: “{destination.name}” is paused",
            text,
            settings.DEFAULT_FROM_EMAIL,
            [destination.owner_email],
            connection=mail_connection(MAIL_SECONDS),
        )
    except Exception:
        logger.exception("the owner of a paused destination could not be told")
