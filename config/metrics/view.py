"""`GET /metrics` for Prometheus, always with a key: behind a proxy of the same machine, loopback is the whole world."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.metrics.files import counts_in_files, metrics_folder
from config.metrics.gauges import gauges
from config.time_limit import limited_statements
from customers.api.errors import DatabaseAway
from customers.models import ApiKey
from sessions_app.database.sqlite.lock import wait_at_leisure
from sessions_app.webhook.metrics import registry as counted_here
from sessions_app.webhook.refused import refused_requests
from sessions_app.webhook.views import AnyAccept, KeyAuthentication, NothingStored


class Metrics(APIView):
    """Prometheus' text format. While the database cannot be read, keys that were valid within the hour are believed."""

    http_method_names = ["get", "head"]
    content_negotiation_class = AnyAccept
    authentication_classes = [KeyAuthentication]
    required_scope = ApiKey.Scope.READ
    schema = None  # Prometheus' format, none of the API that /api/schema/ describes

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(_counted() + generate_latest(_seen), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    head = get

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
            refused_requests.count(self.request.META.get("REMOTE_ADDR", ""))
        if isinstance(exc, NothingStored):
            exc = DatabaseAway()
        return super().handle_exception(exc)


def _counted() -> bytes:
    """What all web processes of this node have counted since `serve` was started."""
    if not counts_in_files():
        return generate_latest(counted_here)
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry, str(metrics_folder()))
        return generate_latest(registry)
    except (ValueError, FileNotFoundError):  # a successor begins at zero just now, while we end
        return b""


_seen = CollectorRegistry(auto_describe=False)
_seen.register(gauges)
_view = Metrics.as_view()


def metrics(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
    """With the time limit of a page: this address skips the middleware that sets it."""
    wait_at_leisure()
    return limited_statements(lambda request: _view(request, *args, **kwargs))(request)


metrics.csrf_exempt = True  # type: ignore[attr-defined]  # as DRF marks its views
