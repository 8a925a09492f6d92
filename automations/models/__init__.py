"""The entities of WHAT FOLLOWS, one module per subject."""

from automations.models.deliveries import Attempt, Delivery, Installation
from automations.models.destinations import Destination, Secret
from automations.models.firings import Firing, Occurrence, Silence
from automations.models.rules import Action, Rule, Trigger

__all__ = [
    "Action",
    "Attempt",
    "Delivery",
    "Destination",
    "Firing",
    "Installation",
    "Occurrence",
    "Rule",
    "Secret",
    "Silence",
    "Trigger",
]
