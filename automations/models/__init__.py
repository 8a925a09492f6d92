"""The entities of WHAT FOLLOWS, one module per subject."""

from automations.models.deliveries import Attempt, Delivery, Installation
from automations.models.destinations import Destination
from automations.models.firings import Firing, Occurrence, Silence
from automations.models.rules import Action, Rule, Trigger
from automations.models.sources import CachedContext, Secret, Source

__all__ = [
    "Action",
    "Attempt",
    "CachedContext",
    "Delivery",
    "Destination",
    "Firing",
    "Installation",
    "Occurrence",
    "Rule",
    "Secret",
    "Silence",
    "Source",
    "Trigger",
]
