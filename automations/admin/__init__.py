from automations.admin import deliveries, destinations, rules, sources

__all__ = ["deliveries", "destinations", "rules", "sources"]
