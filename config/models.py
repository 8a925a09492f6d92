"""What is kept of signing in."""

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone


class SignInEvent(models.Model):
    """A sign-in, or a change of how somebody signs in. Kept for 90 days (`sign_in.log`)."""

    class What(models.TextChoices):
        SIGNED_IN = "signed_in", "signed in"
        SIGNED_OUT = "signed_out", "signed out"
        GROUPS_CHANGED = "groups_changed", "groups changed by single sign-on"
        PASSWORD_CHANGED = "password_changed", "password changed"
        FACTOR_ADDED = "factor_added", "second factor added"
        FACTOR_REMOVED = "factor_removed", "second factor removed"
        FACTORS_RESET = "factors_reset", "second factors reset"

    at = models.DateTimeField(default=timezone.now, db_index=True)
    account = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    what = models.CharField(max_length=20, choices=What)
    details = models.CharField(max_length=200, blank=True, help_text="How, and by whom where it was somebody else.")
    address = models.CharField(max_length=64, blank=True)
    browser = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name, verbose_name_plural = "sign-in", "sign-ins"

    def __str__(self) -> str:
        return f"{self.account}: {self.get_what_display()}"


class FailedSignIns(models.Model):
    """How many wrong passwords and codes there were within an hour: all that a stranger leaves behind."""

    hour = models.DateTimeField(primary_key=True)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-hour"]
        verbose_name_plural = "failed sign-ins"

    def __str__(self) -> str:
        return f"{self.count} at {self.hour:%Y-%m-%d %H}:00"


class CacheEntry(models.Model):
    """A row of Django's database cache, which counts wrong passwords on PostgreSQL (CACHES). Nothing else reads it."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "cache entries"

    def __str__(self) -> str:
        return self.cache_key
