"""Why deliveries do not go out: paused destinations, a copied database, no worker, keys that are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured

from automations.deliveries.copies import is_copy
from automations.facts import destination_page
from automations.models import Delivery, Destination, Rule, Secret
from automations.outgoing.mail import has_mail_server
from automations.sealing import fingerprint_of, known_keys
from sessions_app.models import Node
from sessions_app.recording.clock import last_seen

MOST_NAMED = 20


@dataclass(frozen=True)
class Paused:
    name: str
    page: str
    because: str


@dataclass(frozen=True)
class MissingKey:
    """`fingerprint` names the key; the destinations have secrets that only it opens."""

    fingerprint: str
    destinations: Sequence[str]


@dataclass(frozen=True)
class Standstill:
    paused: Sequence[Paused]
    is_copy: bool
    has_no_worker: bool
    missing_keys: Sequence[MissingKey]
    lacks_mail_server: bool


def standstill() -> Standstill:
    """Everything that is in the way now. Writes nothing; seven queries at most, however much waits."""
    found = Destination.objects.filter(paused_at__isnull=False).values_list("pk", "name", "paused_because")
    paused = [Paused(name, destination_page(pk), because) for pk, name, because in found[:MOST_NAMED]]
    return Standstill(paused, is_copy(), _has_no_worker(), missing_keys(), _lacks_mail_server())


def _lacks_mail_server() -> bool:
    """Whether there is a destination for mails, and no server to send them by."""
    return not has_mail_server() and Destination.objects.filter(kind=Destination.Kind.EMAIL).exists()


def worker_seen_at() -> datetime | None:
    """When a worker was there last: one of any node by the database, or this data folder's by its clock."""
    beat = Node.objects.order_by("-beat_at").values_list("beat_at", flat=True).first()
    return max((moment for moment in (beat, last_seen()) if moment is not None), default=None)


def _has_no_worker() -> bool:
    """Whether no worker was there for a minute, while there is something for one to do."""
    if Node.objects.alive().exists():
        return False
    has_rules = Rule.objects.filter(is_active=True).exists()
    return has_rules or Delivery.objects.filter(finished_at__isnull=True).exists()


def known_fingerprints() -> set[str]:
    """Of the keys that are there."""
    try:
        return set(map(fingerprint_of, known_keys()))
    except ImproperlyConfigured:  # the file is cut short: what it held opens nothing
        return set()


def missing_keys() -> list[MissingKey]:
    unknown = Secret.objects.exclude(fingerprint__in=known_fingerprints()).order_by("fingerprint", "destination__name")
    names: dict[str, dict[str, None]] = {}
    for fingerprint, name in unknown.values_list("fingerprint", "destination__name"):
        names.setdefault(fingerprint, {})[name] = None
    return [MissingKey(fingerprint, list(of_key)[:MOST_NAMED]) for fingerprint, of_key in names.items()]
