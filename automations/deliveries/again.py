"""Deliveries are sent again: the same bytes with the same id, or filled in anew with a new one."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from django.db.models.functions import Now
from django.utils import timezone

from automations.deliveries.making import make_delivery
from automations.facts import values_of
from automations.models import Delivery, Destination, Trigger
from automations.rules.usage_alerts import values_again
from sessions_app.database.pieces import in_pieces

MOST_AT_ONCE = 10_000
# Filling in takes longer than an update, and LiveTok's requests wait for each piece.
PIECE = {"same": 500, "new": 50}

State = Delivery.State


class Way(StrEnum):
    SAME = "same"
    NEW = "new"


@dataclass
class Result:
    """`sent`: the deliveries that were sent again, or what was made in their place. `left`: why others were not."""

    sent: list[Delivery] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)


Noted = Callable[[list[Delivery]], object]


def send_again(pks: Iterable[int], way: Way, *, may_arrive_twice: bool, note: Noted = lambda sent: None) -> Result:
    """Send the deliveries again, some at a time. `note` is called in the transaction of each piece with its part.

    `may_arrive_twice`: whoever asks knows it of a WhatsApp message that may have been sent; else such ones are left.
    """
    result = Result()

    def write(piece: list[int]) -> None:
        found = Delivery.objects.filter(pk__in=piece).select_related(*RELATED).order_by("pk")
        sent = []
        for delivery in found.select_for_update(of=("self",)):
            again = why_not(delivery, way) or _unsure(delivery, may_arrive_twice) or _SEND[way](delivery)
            if isinstance(again, str):
                result.left[again] += 1
            else:
                sent.append(again)
        note(sent)
        result.sent += sent

    in_pieces(pks, write, batch=PIECE[way])
    return result


RELATED = (
    "destination",
    "action__destination",
    "firing__rule",
    "firing__session__customer__tier",
    "firing__session__tier",
    "firing__session__channel",
    "firing__session__agent",
)


def why_not(delivery: Delivery, way: Way) -> str:
    """Why a delivery cannot be sent again in this way, as a sentence; empty where it can."""
    return _why_not_same(delivery) if way == Way.SAME else _why_not_new(delivery)


def is_unsure(delivery: Delivery) -> bool:
    """Whether it may have arrived already, where nothing on the other side tells two of them apart."""
    return delivery.state == State.UNKNOWN and delivery.destination.kind == Destination.Kind.WHATSAPP


def _unsure(delivery: Delivery, may_arrive_twice: bool) -> str:
    if is_unsure(delivery) and not may_arrive_twice:
        return "It may have been sent already: say that it may arrive twice."
    return ""


def _why_not_same(delivery: Delivery) -> str:
    if delivery.finished_at is None:
        return "It is not finished: it is still sent by itself."
    if delivery.is_unfilled:
        return "It could not be filled in, so there is nothing to send."
    return ""


def _why_not_new(delivery: Delivery) -> str:
    firing, action = delivery.firing, delivery.action
    if delivery.finished_at is None:
        return "It is not finished: it is still sent by itself."
    if delivery.is_test:
        return "It was a test: send a new one from the rule."
    if firing is None:
        return "What it was about is gone, or it told of many at once."
    if action is None:
        return f"The rule “{firing.rule}” does not do this any more."
    if firing.rule.trigger == Trigger.SILENT:
        return "It told of LiveTok's silence, which is not filled in later."
    return ""


def _send_same(delivery: Delivery) -> Delivery | str:
    """It waits again, as if it had never been tried. Its attempts stay.

    A mail that reached some of its recipients goes to the others alone; one that reached all goes to all.
    """
    reached = "" if delivery.state == State.DELIVERED else delivery.reached
    finished = Delivery.objects.filter(pk=delivery.pk, finished_at__isnull=False)
    changed = finished.update(
        state=State.WAITING, next_attempt_at=Now(), finished_at=None, attempts_made=0, not_after=None, reached=reached
    )
    return delivery if changed else "It is being sent already."


def _send_new(delivery: Delivery) -> Delivery | str:
    """The rule's action as it is now, with the session as it is now. It is not too late: somebody asked for it now."""
    firing, action = delivery.firing, delivery.action
    assert firing is not None
    assert action is not None
    values = values_of(firing.rule, firing.session, firing.fired_at, key=f"{firing.rule_id}-{firing.pk}")
    if firing.rule.trigger == Trigger.USAGE_REACHED and firing.session is not None:
        usage = values_again(firing.session, firing.subject)
        if not usage:
            return "The limit that it told of is another one now."
        values |= usage
    return make_delivery(
        action,
        values,
        happened_at=timezone.now(),
        session=firing.session,
        firing=firing,
    )


_SEND: dict[Way, Callable[[Delivery], Delivery | str]] = {Way.SAME: _send_same, Way.NEW: _send_new}


def reasons_in_words(left: Counter[str]) -> Collection[str]:
    """What was left alone, most frequent first."""
    return [f"{count} left alone. {because}" for because, count in left.most_common()]
