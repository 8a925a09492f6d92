"""A delivery is made: an action's texts are filled in once, and what cannot be filled is kept as failed."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import Error
from django.db.models.functions import Now

from automations.deliveries.masks import masked
from automations.models import Action, Attempt, Delivery, Destination, Firing
from automations.texts.bodies import fill_json_body, fill_plain_body
from automations.texts.escapes import Escape, as_it_is, escape_card, escape_slack
from automations.texts.lines import fill_line, has_placeholders
from automations.texts.liquid import TextError
from automations.texts.messages import WHATSAPP_PATH, whatsapp_body
from automations.texts.names import data_of
from automations.texts.paths import fill_path
from automations.texts.recipients import fill_recipients
from customers.zones import company_zone
from sessions_app.models import Session

logger = logging.getLogger("frontdesk.automations")

NOT_LATER_THAN_MINUTES = 60

Kind = Destination.Kind
ESCAPES: Mapping[str, Escape] = {Kind.SLACK: escape_slack, Kind.TEAMS: escape_card}


@dataclass(frozen=True)
class Filled:
    """What an action says with a session's values."""

    body: bytes
    method: str = ""
    path: str = ""
    recipient: str = ""
    subject: str = ""


@dataclass(frozen=True)
class Made:
    """A delivery that is not stored yet. With an `error` it cannot be sent."""

    delivery: Delivery
    error: str = ""


def make_delivery(
    action: Action,
    values: Mapping[str, object],
    *,
    happened_at: datetime,
    session: Session | None = None,
    firing: Firing | None = None,
    is_test: bool = False,
) -> Delivery:
    """Store what the action says, to be sent by a worker. `values` are by the names of `texts.names`."""
    made = make(action, values, happened_at=happened_at, session=session, firing=firing, is_test=is_test)
    store_all([made])
    return made.delivery


def make(
    action: Action,
    values: Mapping[str, object],
    *,
    happened_at: datetime,
    session: Session | None = None,
    firing: Firing | None = None,
    is_test: bool = False,
) -> Made:
    """What the action says; `firing` may be stored after it. Writes nothing."""
    delivery = Delivery(
        destination=action.destination,
        action=action,
        session=session,
        firing=firing,
        is_test=is_test,
        not_after=_not_after(action, happened_at),
        kept_pointer=action.kept_pointer,
        kept_link_text=action.kept_link,
    )
    try:
        filled = fill_action(action, values)
    except TextError as error:
        return Made(delivery, str(error))
    except Error:
        raise
    except Exception as error:  # of one action: the others go on
        logger.exception("an action cannot be filled in", extra={"action": action.pk})
        return Made(delivery, f"It cannot be filled in ({type(error).__name__}): the log says why.")
    delivery.body, delivery.method, delivery.path = filled.body, filled.method, filled.path
    delivery.recipient, delivery.subject = filled.recipient, filled.subject
    return Made(delivery)


def fill_action(action: Action, values: Mapping[str, object]) -> Filled:
    """Raises TextError, which says what of it cannot be filled."""
    data = data_of(values, company_zone())
    kind = action.destination.kind
    if kind == Kind.EMAIL:
        recipient, subject = fill_recipients(action.recipient, data), _fill_subject(action.subject, data)
        return Filled(fill_plain_body(action.text, data), recipient=recipient, subject=subject)
    if kind == Kind.WHATSAPP:
        parameters = [line for line in action.text.splitlines() if line.strip()]
        body = whatsapp_body(action.recipient, action.template_name, action.template_language, parameters, data)
        return Filled(body, method="POST", path=WHATSAPP_PATH)
    body = fill_json_body(action.body, data, ESCAPES.get(kind, as_it_is))
    return Filled(body, method=action.method, path=fill_path(action.path, data))


def _fill_subject(text: str, data: Mapping[str, object]) -> str:
    """A line that fits its column of a delivery."""
    most: int = Delivery._meta.get_field("subject").max_length  # type: ignore[assignment]
    filled = fill_line(text, data)
    if len(filled) > most:
        raise TextError([f"Subject: with its values it has {len(filled):,} characters, and {most:,} are the most."])
    return filled


@dataclass(frozen=True)
class DigestLine:
    """A line of a digest: words, in which callers' values may be, and the page of ours that it leads to."""

    words: str
    link: str = ""


def make_digest(
    destination: Destination, action: Action, lines: Sequence[DigestLine], happened_at: datetime
) -> Delivery:
    """One message for many, of a rule that fired too often for people."""
    delivery = Delivery(destination=destination, action=action, not_after=_not_after(action, happened_at))
    if destination.kind == Kind.EMAIL:
        text = "\n".join(f"{line.words} {line.link}".strip() for line in lines)
        delivery.recipient, delivery.body = action.recipient, text.encode()
        delivery.subject = lines[0].words.removesuffix(":")
        if has_placeholders(action.recipient):  # each has another one: there is nobody to tell of all
            store_all([Made(delivery, "A digest has no single recipient.")])
            return delivery
    else:
        delivery.method, delivery.body = "POST", json.dumps(_chat_message(destination.kind, lines)).encode()
    return store(delivery)


def _chat_message(kind: str, lines: Sequence[DigestLine]) -> dict[str, object]:
    """Words are escaped; the links are our own, and stay links."""
    if kind == Kind.SLACK:
        return {"text": "\n".join(f"{escape_slack(line.words)} {escape_slack(line.link)}".strip() for line in lines)}
    texts = [escape_card(line.words) + (f" [Open]({line.link})" if line.link else "") for line in lines]
    # A block for each: within one, a card takes a line break for a space.
    blocks = [{"type": "TextBlock", "text": text, "wrap": True} for text in texts]
    card = {"type": "AdaptiveCard", "version": "1.4", "body": blocks}
    content_type = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": content_type, "content": card}]}


def store(delivery: Delivery) -> Delivery:
    """Keep it to be sent now, by the database's clock."""
    store_all([Made(delivery)])
    return delivery


def store_all(made: Sequence[Made]) -> None:
    """Keep them to be sent now, in their order. What cannot be sent is kept as failed, with the reason."""
    for one in made:
        delivery = one.delivery
        delivery.created_at = delivery.next_attempt_at = Now()
        if one.error:
            delivery.state, delivery.finished_at, delivery.body = Delivery.State.FAILED, Now(), b""
    if made:
        Delivery.objects.bulk_create([one.delivery for one in made])
    failed = [one for one in made if one.error]
    if failed:
        Attempt.objects.bulk_create(
            Attempt(delivery=one.delivery, started_at=Now(), seconds=0, error=masked(one.error, ())[:500])
            for one in failed
        )


def _not_after(action: Action, happened_at: datetime) -> datetime | None:
    minutes = action.not_later_than_minutes
    if minutes is None:
        minutes = NOT_LATER_THAN_MINUTES if action.destination.is_for_people else None
    return None if minutes is None else happened_at + timedelta(minutes=minutes)
