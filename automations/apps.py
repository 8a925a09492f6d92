from django.apps import AppConfig


class AutomationsConfig(AppConfig):
    """WHAT FOLLOWS a session: rules, deliveries, and context from other systems."""

    name = "automations"
    default_auto_field = "django.db.models.BigAutoField"
