"""The admin's pages of what follows a session, one module per subject."""

from automations.admin import deliveries, destinations, rules, sources

__all__ = ["deliveries", "destinations", "rules", "sources"]
