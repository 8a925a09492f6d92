"""What the overview is asked for: the days, the unit of its trend, whether test traffic counts, and of what."""

from datetime import datetime
from functools import cached_property

from django import forms
from django.http import QueryDict
from django.urls import reverse

from customers.models import Agent, Channel, Tier
from sessions_app.reports.frame.figures import query_of, sessions_address
from sessions_app.reports.frame.range_filters import WITHOUT, RangeFilters, choice_field, number_field
from sessions_app.reports.frame.ranges import Stretch
from sessions_app.reports.overview.units import MOST_DAYS_BY, UNITS
from sessions_app.sums.narrowed import Scope

# How many lines a table of the page has, and how many each page of all of them.
LARGEST, LINES_OF_A_PAGE = 10, 100
SCOPE = ("tier", "channel", "agent")


class OverviewFilters(RangeFilters):
    set_by_links: tuple[str, ...] = ("period", "by")

    by = forms.ChoiceField(
        required=False,
        choices=list(UNITS.items()),
        error_messages={
            "invalid_choice": "There is no “%(value)s” to show the trend by. Choose hour, day, week or month."
        },
    )

    @cached_property
    def unit(self) -> str:
        """What the trend is shown by."""
        chosen = str(self.cleaned_data["by"])
        if chosen in self.units:
            return chosen
        days = len(self.range.days)
        return "hour" if days <= 2 else "day" if days <= MOST_DAYS_BY["day"] else "week"

    @property
    def units(self) -> dict[str, str]:
        days = len(self.range.days)
        return {unit: label for unit, label in UNITS.items() if days <= MOST_DAYS_BY[unit]}

    @property
    def is_test(self) -> bool | None:
        """As the sums know it: live traffic alone, or both together."""
        return None if self.cleaned_data["test"] else False

    @property
    def compared(self) -> Stretch:
        """The part of the past that these days are compared with."""
        return self.range.preceding(self.now)

    def address(self, **narrowed: object) -> str:
        """The list of the sessions of these days, narrowed further; other days among them take their place."""
        days = {"first_day": self.range.first_day, "last_day": self.range.last_day}
        return sessions_address(**{**days, **self.narrowed_to, **narrowed, "test": self.cleaned_data["test"]})

    @property
    def narrowed_to(self) -> dict[str, str]:
        """The tier, channel and agent whose sessions alone are shown, as addresses have them."""
        return {}

    @property
    def scope(self) -> Scope | None:
        """The same as the sums know it; None where all sessions are shown."""
        return None


class NarrowedFilters(OverviewFilters):
    """Those of the page, which can be narrowed to a tier, a channel and an agent."""

    tier = choice_field("Tier")
    channel = choice_field("Channel")
    agent = choice_field("Agent")
    all = choice_field("Table", [(by, by) for by in (*SCOPE, "reason")])
    page = number_field("Page", 1, 10_000)

    set_by_links = ("period", "by", "all", "page")
    narrowed_by = SCOPE

    def __init__(self, data: QueryDict, now: datetime) -> None:
        super().__init__(data, now)
        self.tiers = list(Tier.objects.all())
        self.channels = list(Channel.objects.all())
        self.agents = list(Agent.objects.all())
        self._offer("tier", [(tier.slug, tier.name) for tier in self.tiers])
        self._offer("channel", [(channel.pk, str(channel)) for channel in self.channels])
        self._offer("agent", [(agent.pk, str(agent)) for agent in self.agents])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "All"), *choices, (WITHOUT, f"No {name}")]

    @property
    def narrowed_to(self) -> dict[str, str]:
        values = {name: str(self.cleaned_data[name]) for name in SCOPE}
        return {name: value for name, value in values.items() if value}

    @property
    def scope(self) -> Scope | None:
        to = self.narrowed_to
        if not to:
            return None
        tiers = {tier.slug: tier.pk for tier in self.tiers}
        channel, agent = ("" if to.get(name) == WITHOUT else to.get(name) for name in ("channel", "agent"))
        return Scope(tiers.get(to["tier"], 0) if "tier" in to else None, channel, agent)

    @property
    def lines(self) -> slice:
        """Which of a table's lines are shown: the largest, or a page of all of them."""
        if not self.cleaned_data["all"]:
            return slice(LARGEST)
        first = ((self.cleaned_data["page"] or 1) - 1) * LINES_OF_A_PAGE
        return slice(first, first + LINES_OF_A_PAGE)

    @property
    def agent_alone(self) -> Agent | None:
        """The one agent that the page is about."""
        wanted = self.narrowed_to.get("agent")
        return next((agent for agent in self.agents if agent.pk == wanted), None)

    def page_address(self, **narrowed: object) -> str:
        """This page of the same days, narrowed further."""
        names = ("period", "first_day", "last_day", "by")  # not `all`: it is of another table
        days = {name: self.data.get(name) for name in names}
        return reverse("reports:overview") + query_of(
            **{**days, **self.narrowed_to, **narrowed, "test": self.cleaned_data["test"]}
        )
