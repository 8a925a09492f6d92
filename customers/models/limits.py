"""Rows that limit: a tier's, and a customer's overrides of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from customers.limits import MOST_AMOUNT, TOO_MUCH, Limit, Metric, Period, metrics_by_periods, periods_in_words
from customers.models.channels import Agent, Channel
from customers.models.customers import Customer
from customers.models.histories import Records
from customers.models.tiers import Tier
from customers.validity import UNTIL_IS_AFTER_FROM, UNTIL_IS_NOT_AFTER_FROM, Validity, valid_at

PERIOD_CHOICES = [(period.value, period.value) for period in Period if period is not Period.NONE]
METRIC_CHOICES = [(metric.value, metric.words) for metric in Metric]


def _one_of(column: str, values: Sequence[str]) -> dict[str, Any]:
    return {column: values[0]} if len(values) == 1 else {f"{column}__in": list(values)}


# Sorted, as migrations have it: what is the same rule has to stay the same constraint.
PERIOD_FITS_METRIC = reduce(
    or_,
    (
        Q(**_one_of("metric", metrics), **_one_of("period", periods))
        for periods, metrics in sorted(metrics_by_periods().items())
    ),
)
PERIOD_MISMATCH = f"Period: {periods_in_words(lambda metric: metric.words, none='have none')}."


class LimitRow(models.Model):
    """What a tier's limit and a customer's override have in common."""

    metric = models.CharField(max_length=24, choices=METRIC_CHOICES)
    period = models.CharField(
        max_length=8, choices=PERIOD_CHOICES, blank=True, help_text="Blank for concurrent sessions alone."
    )
    channel = models.ForeignKey(
        Channel, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Blank: all channels."
    )
    agent = models.ForeignKey(
        Agent, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Blank: all agents."
    )
    hard = models.BooleanField(
        default=True,
        help_text="Off: nobody is denied; what would have been is recorded, and LiveTok is not told of the limit.",
    )

    amount: int | None
    origin: ClassVar[str] = "tier"

    class Meta:
        abstract = True

    def as_limit(self) -> Limit:
        return Limit(
            metric=Metric(self.metric),
            period=Period(self.period),
            channel=self.channel_id,
            agent=self.agent_id,
            amount=self.amount,
            hard=self.hard,
            origin=self.origin,
            agent_name=self._agent_name(),
        )

    def _agent_name(self) -> str:
        """Blank where it was not read along: what decides needs no names."""
        is_read = self._meta.get_field("agent").is_cached(self)  # type: ignore[union-attr]
        return self.agent.name if is_read and self.agent is not None else ""

    def _in_words(self, limit: Limit) -> str:
        """The agent by its name, also where it has to be read for that; by its id where it is gone."""
        if limit.agent is None or limit.agent_name:
            return str(limit)
        name = Agent.objects.filter(pk=limit.agent).values_list("name", flat=True).first()
        return str(replace(limit, agent_name=name or ""))


class TierLimit(LimitRow):
    """The most that a tier grants of a metric."""

    tier = models.ForeignKey(Tier, on_delete=models.CASCADE, related_name="limits")
    amount = models.PositiveIntegerField(
        validators=[MaxValueValidator(MOST_AMOUNT, TOO_MUCH)], help_text="0: none at all. For unlimited, have no row."
    )

    history = Records()

    class Meta:
        ordering = ["metric", "period", "channel", "agent"]
        constraints = [
            models.CheckConstraint(
                name="tierlimit_period_fits_metric",
                condition=PERIOD_FITS_METRIC,
                violation_error_message=PERIOD_MISMATCH,
            ),
            # Four constraints, since a blank channel or agent is a value here and NULLs are never equal.
            *(
                models.UniqueConstraint(
                    fields=["tier", "metric", "period", *scope],
                    condition=Q(channel__isnull="channel" not in scope, agent__isnull="agent" not in scope),
                    name=f"tierlimit_unique_for_{'_and_'.join(scope) or 'all'}",
                    violation_error_message=(
                        "Metric: this tier has a limit of the same metric, period, channel and agent; change that one."
                    ),
                )
                for scope in ([], ["channel"], ["agent"], ["channel", "agent"])
            ),
        ]

    def __str__(self) -> str:
        return self._in_words(self.as_limit())


class OverrideQuerySet(models.QuerySet["LimitOverride"]):
    def valid_at(self, moment: datetime) -> "OverrideQuerySet":
        return self.filter(valid_at(moment))


class LimitOverride(LimitRow):
    """For one customer, instead of the tier's row of the same metric, period, channel and agent."""

    origin = "override"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="overrides")
    amount = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MOST_AMOUNT, TOO_MUCH)],
        help_text="0: none at all. Blank: unlimited.",
    )
    valid_from = models.DateTimeField(null=True, blank=True, help_text="Blank: since ever.")
    valid_until = models.DateTimeField(null=True, blank=True, help_text="Up to but not including. Blank: for ever.")
    note = models.CharField(max_length=200, blank=True, help_text="Why, for your colleagues.")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OverrideQuerySet.as_manager()
    history = Records()

    class Meta:
        ordering = ["metric", "period", "channel", "agent", "valid_from"]
        constraints = [
            models.CheckConstraint(
                name="limitoverride_period_fits_metric",
                condition=PERIOD_FITS_METRIC,
                violation_error_message=PERIOD_MISMATCH,
            ),
            models.CheckConstraint(
                name="limitoverride_valid_until_is_after_valid_from",
                condition=UNTIL_IS_AFTER_FROM,
                violation_error_message=UNTIL_IS_NOT_AFTER_FROM,
            ),
        ]

    def __str__(self) -> str:
        return self._in_words(self.as_limit())

    def is_valid_at(self, now: datetime) -> bool:
        return Validity.of(self).holds_at(now)
