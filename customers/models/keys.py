"""API keys. Made, checked and cached in `customers.keys`; only their hash is stored."""

from django.conf import settings
from django.db import models

from customers.models.histories import Records


class ApiKey(models.Model):
    """A secret by which LiveTok or a script proves who it is. The secret itself is shown once and never stored."""

    class Scope(models.TextChoices):
        WEBHOOK = "webhook", "webhook (LiveTok)"
        READ = "read", "read"
        MANAGE = "manage", "manage (read included)"

    name = models.CharField(max_length=100, help_text="Who uses it.")
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    secret_sha256 = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Blank: never.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    # The history is for what staff change, and its readers need no hash.
    history = Records(excluded_fields=["secret_sha256", "last_used_at"])

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
