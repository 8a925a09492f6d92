"""Channels and agents: LiveTok names them, so they make themselves on first sight (`customers.first_sight`)."""

from datetime import timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from customers.models.histories import Records

TEXT_CHANNELS = frozenset({"chat", "sms", "text", "email", "messaging"})
VOICE_CHANNELS = frozenset({"telephony", "phone", "voice", "call"})


class Channel(models.Model):
    """A way in, by the word that LiveTok uses for it (its `kind`)."""

    slug = models.CharField(
        primary_key=True, max_length=64, help_text="The word that LiveTok sends as <code>kind</code>, in lower case."
    )
    label = models.CharField(max_length=100, blank=True, help_text="What pages call it. Blank: the word itself.")
    counts_toward_call_minutes = models.BooleanField(
        default=True,
        help_text="Whether its time uses call minutes. A change holds for sessions that begin after it.",
    )
    longest_session_minutes = models.PositiveIntegerField(
        default=24 * 60,
        validators=[MinValueValidator(1), MaxValueValidator(7 * 24 * 60)],
        help_text="A session without an end stops counting as open after this many minutes. At most a week.",
    )

    history = Records()

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.label or self.slug

    @property
    def longest_session(self) -> timedelta:
        return timedelta(minutes=self.longest_session_minutes)


def new_channel(slug: str) -> Channel:
    """An unsaved channel with the defaults that its name suggests."""
    return Channel(
        slug=slug,
        counts_toward_call_minutes=slug not in TEXT_CHANNELS,
        longest_session_minutes=4 * 60 if slug in VOICE_CHANNELS else 24 * 60,
    )


class Agent(models.Model):
    """One of LiveTok's AI agents."""

    livetok_id = models.CharField("LiveTok's id", primary_key=True, max_length=255)
    name = models.CharField(max_length=255, blank=True, help_text="The newest name that LiveTok sent.")

    class Meta:
        ordering = ["name", "livetok_id"]

    def __str__(self) -> str:
        return self.name or self.livetok_id
