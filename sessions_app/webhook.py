"""LiveTok's requests over HTTP: who sends them, how large they are, and which status they get. No rules."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from customers.authentication import holder_of
from customers.models import ApiKey
from sessions_app.events import SessionBegin
from sessions_app.lifecycle import Delivery, begin_session, end_session
from sessions_app.models import WebhookEvent
from sessions_app.payloads import IgnoredEvent, Refused, read_event
from sessions_app.refused import refused_requests

logger = logging.getLogger("frontdesk.webhook")

LARGEST_BODY = 64 * 1024
NOTHING_TO_SAY = b"{}"


@dataclass(frozen=True)
class Reply:
    """What a request gets: status and bytes, and the row that was logged."""

    status: int
    content: bytes
    event: WebhookEvent


def receive(body: bytes, *, route: str, received_at: datetime, delivery: Delivery) -> Reply:
    """Take one authenticated body. It is stored for good when this returns; an error means that nothing was."""
    try:
        event = read_event(body, route=route, received_at=received_at, phone_region=settings.PHONE_REGION)
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
        outcome = begin_session(event, delivery)
        _write_line(outcome.event, outcome.session.reason)
        return Reply(200, outcome.answer, outcome.event)
    outcome = end_session(event, delivery)
    _write_line(outcome.event)
    return Reply(200, NOTHING_TO_SAY, outcome.event)


def process_again(event: WebhookEvent) -> WebhookEvent:
    """Take a rejected body once more, as if it came now to the same address. Returns the new row."""
    delivery = Delivery(key=event.key, address=event.address)
    reply = receive(bytes(event.body or b""), route=event.route, received_at=event.received_at, delivery=delivery)
    event.processed_again_at = timezone.now()
    event.save(update_fields=["processed_again_at"])
    return reply.event


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
    error = {"error": {"field": refused.field, "message": refused.problem}}
    return Reply(status, json.dumps(error).encode(), row)


def _log(delivery: Delivery, **fields: Any) -> WebhookEvent:
    row = WebhookEvent.objects.create(key=delivery.key, address=delivery.address, took_ms=delivery.took_ms(), **fields)
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


class AnyAccept(BaseContentNegotiation):
    """JSON, whatever the request says that it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class DatabaseAway(exceptions.APIException):
    status_code = 503
    default_detail = "The database does not answer; nothing was stored. Try again."


class LiveTokWebhook(APIView):
    """`POST /webhooks/livetok`, and `/begin` and `/end` below it for LiveTok's two URL fields."""

    http_method_names = ["get", "head", "post"]
    content_negotiation_class = AnyAccept
    required_scope = ApiKey.Scope.WEBHOOK
    schema = None  # LiveTok's contract, none of the API that /api/schema/ describes
    route = ""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.delivery = Delivery(address=request.META.get("REMOTE_ADDR", ""))
        refused_requests.write_when_due()
        if request.method not in ("GET", "HEAD"):
            super().initial(request, *args, **kwargs)

    def get(self, request: Request) -> Response:
        """Senders probe an address when it is set up: it answers, and gives nothing away."""
        return Response({"status": "ok"})

    def post(self, request: Request) -> HttpResponse:
        received_at = timezone.now()
        delivery = Delivery(holder_of(request).label, self.delivery.address, self.delivery.started)
        body = read_body(request._request)
        if body is None:
            too_large = Refused("body", f"send at most {LARGEST_BODY // 1024} KB")
            reply = _refuse(413, too_large, None, self.route, received_at, delivery)
        else:
            reply = receive(body, route=self.route, received_at=received_at, delivery=delivery)
        return HttpResponse(reply.content, content_type="application/json", status=reply.status)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
            refused_requests.count(self.delivery.address)
        if isinstance(exc, (OperationalError, InterfaceError)):
            # Nothing is stored, and LiveTok must know it: it tries again.
            logger.error("the database does not answer", exc_info=exc)
            exc = DatabaseAway()
        return super().handle_exception(exc)


def read_body(request: HttpRequest) -> bytes | None:
    """The body as it came, under any content type; None where it is larger than we take."""
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        # Django takes a missing length for an empty body; the server knows where a chunked one ends.
        stream = request.META["wsgi.input"]
    else:
        stream = request
    body: bytes = stream.read(LARGEST_BODY + 1)
    return None if len(body) > LARGEST_BODY else body
