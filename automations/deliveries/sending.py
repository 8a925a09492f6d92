"""One attempt: a delivery goes out, by mail or by HTTP. While it waits for others it needs no database."""

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from smtplib import SMTPException

from django.conf import settings

from automations.deliveries.masks import hidden_texts
from automations.deliveries.results import Tried
from automations.models import Delivery, Destination
from automations.needs import missing_secrets
from automations.outgoing.addresses import AddressError
from automations.outgoing.headers import HeaderError, joined
from automations.outgoing.http import MaybeSentError, NotSentError, Request, send
from automations.outgoing.mail import NO_SERVER, has_mail_server, post
from automations.outgoing.signing import SIGNING, SIGNING_BEFORE, SigningError, final_headers
from automations.outgoing.timed_mail import MAIL_SECONDS
from automations.sealing import Sealed, SealingError, open_sealed
from automations.texts.destinations import fill_destination
from automations.texts.liquid import TextError

ANSWER_SECONDS = 10.0

Kind = Destination.Kind


def attempt(delivery: Delivery, sealed: Mapping[str, Sealed]) -> Tried:
    """Send it once. `sealed` are the destination's secrets by name."""
    started = time.monotonic()
    missing = missing_secrets(delivery.destination, sealed.keys())
    if missing:
        return _waits(f"It needs secrets: {', '.join(missing)}. Enter them on its page.")
    try:
        secrets = {name: open_sealed(secret) for name, secret in sealed.items()}
    except SealingError as error:
        return _waits(str(error))
    if delivery.destination.kind == Kind.EMAIL:
        return _mail(delivery, started)
    try:
        request = request_of(delivery, secrets)
        hidden = hidden_texts(delivery.destination.address, delivery.destination.headers, secrets)
    except (TextError, SigningError, HeaderError, AddressError) as error:
        return Tried(0.0, error=str(error), pauses_because=str(error), secrets=secrets.values())
    return _request(request, hidden, started)


def _waits(because: str) -> Tried:
    """Nothing was tried, and the destination waits for a hand."""
    return Tried(0.0, error=because, pauses_because=because)


def request_of(delivery: Delivery, secrets: Mapping[str, str]) -> Request:
    """What goes out. What must hold for all attempts is set last, over staff's own headers."""
    destination = delivery.destination
    address, headers = fill_destination(destination.address, destination.headers, secrets)
    body = bytes(delivery.body)
    signing = [secrets[name] for name in (SIGNING, SIGNING_BEFORE) if name in secrets] if destination.is_signed else []
    if destination.is_signed and not signing:
        raise SigningError(f"Requests are to be signed: give the destination a secret named “{SIGNING}”.")
    own = joined({"Content-Type": "application/json"}, headers)
    final = final_headers(own, key=str(delivery.key), body=body, secrets=signing, now=datetime.now(UTC))
    return Request(delivery.method, address + delivery.path, final, body)


def _request(request: Request, hidden: Collection[str], started: float) -> Tried:
    try:
        answer = send(
            request,
            seconds=ANSWER_SECONDS,
            allowed=settings.OUTGOING_ALLOWED_HOSTS,
            allows_http=settings.OUTGOING_ALLOW_HTTP,
        )
    except NotSentError as error:
        return Tried(time.monotonic() - started, error=str(error), secrets=hidden)
    except MaybeSentError as error:
        seconds = time.monotonic() - started
        return Tried(seconds, error.status, str(error), may_have_arrived=True, secrets=hidden)
    return Tried(
        answer.seconds,
        answer.status,
        answer=answer.body,
        retry_after=answer.headers.get("retry-after", ""),
        may_have_arrived=answer.status >= 500,
        secrets=hidden,
    )


def _mail(delivery: Delivery, started: float) -> Tried:
    """Who got it at an earlier attempt does not get it again."""
    if not has_mail_server():
        return _waits(NO_SERVER)
    recipients, reached = addresses_in(delivery.recipient), addresses_in(delivery.reached)
    try:
        posted = post(
            recipients,
            delivery.subject,
            bytes(delivery.body).decode(),
            to=[one for one in recipients if one not in reached],
            message_id=f"<{delivery.key}@frontdesk>",
            seconds=MAIL_SECONDS,
        )
    except (OSError, SMTPException, ValueError) as error:  # ValueError: what no mail can have
        return Tried(time.monotonic() - started, error=f"{type(error).__name__}: {error}")
    seconds, refused = time.monotonic() - started, posted.refused
    if not refused:
        return Tried(seconds, 250)
    words = [f"{one} was refused: {refusal.status} {refusal.text}" for one, refusal in refused.items()]
    if posted.accepted:
        words.append(f"Taken for {', '.join(posted.accepted)}")
    return Tried(
        seconds,
        next(iter(refused.values())).status,
        f"{'. '.join(words)}.",
        reached=[*reached, *posted.accepted],
        is_final=all(refusal.is_final for refusal in refused.values()),
    )


def addresses_in(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
