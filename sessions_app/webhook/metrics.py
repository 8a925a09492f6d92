"""LiveTok's requests counted for Prometheus: by kind and verdict, and how long we took. One observation for each.

Kept where prometheus_client keeps values: in memory, or in a web process in its files (`config.metrics.files`).
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from sessions_app.livetok.payloads import BEGIN, END
from sessions_app.models import WebhookEvent

# What no row of the log says: kept on disk while nothing can be stored; answered by DECISION_FALLBACK; without a valid
# key for the webhook (401 and 403); stored nowhere, so that LiveTok has to send it again (503); failed by our fault.
SPOOLED, FALLBACK, UNAUTHORIZED, UNSTORED, FAILED = "spooled", "fallback", "unauthorized", "unstored", "failed"
VERDICTS: Final = (*WebhookEvent.Verdict.values, SPOOLED, FALLBACK, UNAUTHORIZED, UNSTORED, FAILED)
KINDS: Final = {BEGIN: "begin", END: "end"}
OTHER = "other"
# LiveTok waits for a begin's answer before anybody hears a word, so all that matters lies between a millisecond and
# the second that is promised.
BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)

registry = CollectorRegistry()
_REQUESTS = Counter(
    "frontdesk_webhook_requests",
    "LiveTok's requests, by kind (begin, end, other) and by what became of them.",
    ("kind", "verdict"),
    registry=registry,
)
_SECONDS = Histogram(
    "frontdesk_webhook_duration_seconds",
    "From reading a request with a valid key to having its answer ready, without the network.",
    ("kind",),
    buckets=BUCKETS,
    registry=registry,
)
# All of them now: an alarm needs the zero before the first one, and files open while nobody waits.
_all_kinds = (*KINDS.values(), OTHER)
_requests = {(kind, verdict): _REQUESTS.labels(kind, verdict) for kind in _all_kinds for verdict in VERDICTS}
_seconds = {kind: _SECONDS.labels(kind) for kind in _all_kinds}


def count_request(event: str, verdict: str, seconds: float) -> None:
    """One that was answered. `event` is as `payloads` has it, or anything else that LiveTok said."""
    kind = KINDS.get(event, OTHER)
    _requests[kind, verdict].inc()
    _seconds[kind].observe(seconds)


def count_stranger(route: str) -> None:
    """One without a valid key. How quickly such are refused says nothing of LiveTok's."""
    _requests[route or OTHER, UNAUTHORIZED].inc()
