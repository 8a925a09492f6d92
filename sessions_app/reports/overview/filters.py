"""What the overview is asked for: the days, the unit of its trend, and whether test traffic counts."""

from functools import cached_property

from django import forms

from sessions_app.reports.frame.figures import sessions_address
from sessions_app.reports.frame.range_filters import RangeFilters
from sessions_app.reports.frame.ranges import Stretch
from sessions_app.reports.overview.units import MOST_DAYS_BY, UNITS


class OverviewFilters(RangeFilters):
    set_by_links = ("period", "by")

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
        return sessions_address(**{**days, **narrowed, "test": self.cleaned_data["test"]})
