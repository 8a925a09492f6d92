"""The admin's pages of what follows a session, one module per subject."""

from automations.admin import destinations, rules

__all__ = ["destinations", "rules"]
