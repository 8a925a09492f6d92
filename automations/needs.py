"""The secrets that a destination still needs: without them nothing can be sent there."""

from collections.abc import Collection, Iterable

from automations.models import Destination
from automations.outgoing.signing import SIGNING
from automations.texts.destinations import secrets_named


def missing_secrets(destination: Destination, stored: Collection[str]) -> list[str]:
    """Those that its address, headers and signature ask for. `stored` are the names of those that it has."""
    if destination.kind == Destination.Kind.EMAIL:
        return []
    named = secrets_named(destination.address, destination.headers)
    return sorted((named | {SIGNING} if destination.is_signed else named) - set(stored))


def needs_words(destination: Destination) -> str:
    """Such as "needs secrets: path"; blank where it has all. To be asked with its secrets prefetched, if of many."""
    missing = missing_secrets(destination, [secret.name for secret in destination.secrets.all()])
    return f"needs secrets: {', '.join(missing)}" if missing else ""


def why_not_on(destinations: Iterable[Destination]) -> list[str]:
    """Why a rule for them cannot be on, a sentence each; nothing where all have their secrets."""
    return [
        f"“{destination}” {needs}. Enter them on its page first."
        for destination in dict.fromkeys(destinations)
        if (needs := needs_words(destination))
    ]


def incomplete_destinations() -> list[int]:
    """The keys of those that need secrets."""
    return [one.pk for one in Destination.objects.prefetch_related("secrets") if needs_words(one)]
