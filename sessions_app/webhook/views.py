"""LiveTok's requests over HTTP: who sends them, how large they are, and which status they get. No rules."""

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from customers.api.errors import DatabaseAway
from customers.authentication import ApiKeyAuthentication, holder_of
from customers.keys import KeyHolder, key_holder, known_holder, may_be_a_key
from customers.models import ApiKey
from sessions_app.database.patience import DATABASE_ERRORS, Patience, limited, note_failure, while_patient
from sessions_app.database.pulse import pulse
from sessions_app.livetok.delivery import Delivery
from sessions_app.livetok.payloads import ROUTE_EVENTS
from sessions_app.webhook.metrics import FAILED, UNSTORED, count_request, count_stranger
from sessions_app.webhook.outage import MustTryAgain, remember_denial_message, take_without_storing
from sessions_app.webhook.reception import LARGEST_BODY, Reply, receive, refuse_too_large
from sessions_app.webhook.refused import refused_requests

LONGEST_ENCODING = 64


class AnyAccept(BaseContentNegotiation):
    """JSON, whatever the request says that it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class NothingStored(DatabaseAway):
    default_detail = "The database does not answer; nothing was stored. Try again."


class KeyAuthentication(ApiKeyAuthentication):
    """While the database cannot be read, the keys that this process saw valid within the hour are believed."""

    def holder(self, secret: str) -> KeyHolder | None:
        if pulse.can_be_read:
            try:
                return key_holder(secret)
            except DATABASE_ERRORS as error:
                note_failure(error)
        known = known_holder(secret)
        # It may be a key that was made lately: only the database could tell, so LiveTok has to try again.
        if known is None and may_be_a_key(secret):
            raise NothingStored
        return known


class LiveTokWebhook(APIView):
    """`POST /webhooks/livetok`, and `/begin` and `/end` below it for LiveTok's two URL fields."""

    http_method_names = ["get", "head", "post"]
    content_negotiation_class = AnyAccept
    authentication_classes = [KeyAuthentication]
    required_scope = ApiKey.Scope.WEBHOOK
    schema = None  # LiveTok's contract, none of the API that /api/schema/ describes
    route = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with limited(Patience()) as self.patience:
            response = super().dispatch(request, *args, **kwargs)
        # By these DRF's request holds itself and the view, and an answer of its own, such as a refusal, all of them and
        # itself: they would wait for Python's search for garbage.
        self.request.parser_context.clear()
        if isinstance(response, Response):
            response.add_post_render_callback(_let_go)
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.delivery = Delivery(address=request.META.get("REMOTE_ADDR", ""))
        refused_requests.write_when_due()
        # A probe needs no key.
        if request.method not in ("GET", "HEAD"):
            super().initial(request, *args, **kwargs)

    def get(self, request: Request) -> Response:
        """Senders probe an address when it is set up: it answers, and gives nothing away."""
        return Response({"status": "ok"})

    head = get  # Django would set it on each view, as a method that holds the view

    def post(self, request: Request) -> HttpResponse:
        received_at = timezone.now()
        reading = time.perf_counter()
        body = read_body(request._request)
        client_seconds = time.perf_counter() - reading  # it may send slowly, which is no time of ours
        self.patience.leave_out(client_seconds)
        started = self.delivery.started + client_seconds
        encoding = encoding_of(request._request)
        delivery = Delivery(holder_of(request).label, self.delivery.address, started, encoding=encoding)
        status, content = take(body, self.route, received_at, delivery)
        return HttpResponse(content, content_type="application/json", status=status)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
            refused_requests.count(self.delivery.address)
        if isinstance(exc, MustTryAgain):
            exc = NothingStored()
        self._count(exc)
        return super().handle_exception(exc)

    def _count(self, exc: Exception) -> None:
        if isinstance(exc, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed, exceptions.PermissionDenied)):
            count_stranger(self.route)
        elif isinstance(exc, NothingStored) or not isinstance(exc, exceptions.APIException):
            verdict = UNSTORED if isinstance(exc, NothingStored) else FAILED
            count_request(ROUTE_EVENTS.get(self.route, ""), verdict, self.delivery.took_ms() / 1000)


def _let_go(response: Response) -> None:
    response.renderer_context.clear()  # type: ignore[attr-defined]  # the view sets it


def take(body: bytes | None, route: str, received_at: datetime, delivery: Delivery) -> tuple[int, bytes]:
    """Store a request in the database or, where that is away, on disk. Returns the status and content of the answer.

    Raises MustTryAgain where it was stored nowhere.
    """
    try:
        reply = while_patient(lambda is_again: _store(body, route, received_at, delivery, is_again))
    except DATABASE_ERRORS as error:
        note_failure(error)
        return take_without_storing(body, route=route, received_at=received_at, delivery=delivery)
    count_request(reply.event.event, str(reply.event.verdict), delivery.took_ms() / 1000)
    return reply.status, reply.content


def _store(body: bytes | None, route: str, received_at: datetime, delivery: Delivery, is_again: bool) -> Reply:
    if is_again:
        delivery = replace(delivery, is_again=True)
    if body is None:
        return refuse_too_large(route=route, received_at=received_at, delivery=delivery)
    remember_denial_message()
    return receive(body, route=route, received_at=received_at, delivery=delivery)


def encoding_of(request: HttpRequest) -> str:
    """What the body is packed in, as the request says; blank where it comes as it is."""
    names = [name.strip().lower() for name in request.META.get("HTTP_CONTENT_ENCODING", "").split(",")]
    packed = ", ".join(name for name in names if name not in ("", "identity"))
    return ascii(packed)[1:-1][:LONGEST_ENCODING]


def read_body(request: HttpRequest) -> bytes | None:
    """The body as it came, under any content type; None where it is larger than we take."""
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        # Django takes a missing length for an empty body; the server knows where a chunked one ends.
        stream = request.META["wsgi.input"]
    else:
        stream = request
    body: bytes = stream.read(LARGEST_BODY + 1)
    return None if len(body) > LARGEST_BODY else body
