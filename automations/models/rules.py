"""Rules: when something is done, under which conditions, and what."""

from django.db import models
from django.db.models import F, Q

from automations.models.destinations import Destination
from automations.texts.lines import refuse_line_breaks
from customers.models import Agent, Channel, Customer, Tier
from customers.models.histories import Records


class Trigger(models.TextChoices):
    BEGAN_ALLOWED = "began_allowed", "a session began and was allowed"
    BEGAN_DENIED = "began_denied", "a session was denied"
    ENDED = "ended", "a session ended"
    END_CORRECTED = "end_corrected", "a session's end was corrected"
    MISSING_END = "missing_end", "a session is missing its end"
    NEW_CALLER = "new_caller", "a new caller became a customer, allowed or not"
    USAGE_REACHED = "usage_reached", "a customer's usage reached a part of a limit"
    SILENT = "silent", "LiveTok's webhook is silent, or was heard again"


class RuleQuerySet(models.QuerySet["Rule"]):
    def active(self, *triggers: str) -> "RuleQuerySet":
        """Those that are on, with all that judging them takes, in the order of their making."""
        rules = self.filter(is_active=True, trigger__in=triggers).order_by("pk")
        return rules.prefetch_related("tiers", "channels", "agents", "customers", "actions__destination")


class Rule(models.Model):
    """When something is done. A condition left blank holds for all."""

    name = models.CharField(max_length=120, unique=True, validators=[refuse_line_breaks])
    trigger = models.CharField("when", max_length=16, choices=Trigger)
    is_active = models.BooleanField(
        "on", default=False, help_text="It sees what happens from now on, and nothing from before."
    )
    # Null while it never was on. By our clock; set whenever it is switched on.
    active_since = models.DateTimeField(null=True, editable=False)
    covers_tests = models.BooleanField("test traffic, too", default=False)

    tiers = models.ManyToManyField(Tier, blank=True, related_name="+")
    channels = models.ManyToManyField(Channel, blank=True, related_name="+")
    agents = models.ManyToManyField(Agent, blank=True, related_name="+")
    customers = models.ManyToManyField(Customer, blank=True, related_name="+")
    # Codes of `Reason`.
    reasons = models.JSONField(default=list, blank=True, help_text="Why it was denied. None: any reason.")
    least_duration_seconds = models.PositiveIntegerField(
        "at least so long (seconds)", null=True, blank=True, help_text="Sessions that ended earlier are left out."
    )
    # 0 is Monday.
    weekdays = models.JSONField(default=list, blank=True, help_text="In the company's time zone. None: every day.")
    from_time = models.TimeField(null=True, blank=True, help_text="In the company's time zone.")
    until_time = models.TimeField(
        null=True, blank=True, help_text="Before this time. Earlier than the other one: over midnight."
    )
    thresholds = models.JSONField(
        "percent of a limit",
        default=list,
        blank=True,
        help_text="For usage alone: 80, 100 tells once at each. Of several reached at once, the highest.",
    )

    history = Records(m2m_fields=[tiers, channels, agents, customers])
    objects = RuleQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="rule_that_is_on_knows_since_when",
                condition=Q(is_active=False) | Q(active_since__isnull=False),
            ),
            models.CheckConstraint(
                name="rule_hours_are_two_times_that_differ",
                condition=Q(from_time__isnull=True, until_time__isnull=True) | ~Q(from_time=F("until_time")),
                violation_error_message="Give two times that differ, or none.",
            ),
        ]
        # Asked by the statement that stores each event.
        indexes = [models.Index(fields=["trigger"], name="rule_active_by_trigger", condition=Q(is_active=True))]

    def __str__(self) -> str:
        return self.name


class Action(models.Model):
    """What a rule does: one message or request to a destination. Its texts are Liquid; `texts.names` has the names."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="actions")
    destination = models.ForeignKey(Destination, on_delete=models.PROTECT, related_name="actions")
    recipient = models.CharField(
        "to", max_length=300, blank=True, help_text="For e-mail: addresses divided by commas. For WhatsApp: a number."
    )
    subject = models.CharField(max_length=300, blank=True, help_text="For e-mail.")
    text = models.TextField(blank=True, help_text="For e-mail. For WhatsApp: a parameter on each line.")
    method = models.CharField(max_length=6, choices=[(name, name) for name in ("POST", "PUT", "PATCH")], default="POST")
    path = models.CharField(
        max_length=500, blank=True, help_text="For HTTP: what follows the destination's address, if anything."
    )
    body = models.TextField(
        blank=True, help_text="For HTTP and chat: JSON. A text that is one name alone becomes its value."
    )
    template_name = models.CharField(max_length=120, blank=True, help_text="For WhatsApp: the template's name.")
    template_language = models.CharField(max_length=16, blank=True, default="en_US", help_text="For WhatsApp.")
    kept_pointer = models.CharField(
        "keep from the answer",
        max_length=200,
        blank=True,
        help_text="A JSON pointer such as /ticket/id. Its value is shown on the session.",
    )
    kept_link = models.CharField(
        "as a link",
        max_length=500,
        blank=True,
        help_text="Such as https://you.zendesk.com/agent/tickets/{{ kept.value }}",
    )
    not_later_than_minutes = models.PositiveIntegerField(
        "not later than (minutes)",
        null=True,
        blank=True,
        help_text="What is older is skipped. Blank: 60 for e-mail, chat and WhatsApp, never for HTTP.",
    )

    history = Records()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.rule}: {self.destination}"
