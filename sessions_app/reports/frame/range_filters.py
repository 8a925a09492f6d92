"""The days that a page is asked for, the form of every page that has such, and the fields of its other filters."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import QueryDict

from customers.zones import company_zone
from sessions_app.periods import local_day
from sessions_app.reports.frame.narrowing import NarrowingForm
from sessions_app.reports.frame.ranges import PRESETS, DayRange, preset_range

MOST_DAYS = 366
FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(2199, 12, 30)
# No slug, channel or agent id of LiveTok's looks like this.
WITHOUT = "(none)"
DEFAULT_PERIOD = "7d"


class DayInput(forms.DateInput):
    """`shown` is the day that it shows where none was given."""

    input_type = "date"
    shown: date | None = None

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")

    def format_value(self, value: Any) -> str | None:
        return super().format_value(value or self.shown)


def day_field(label: str) -> forms.DateField:
    era = "Give a day between 1970 and 2199."
    return forms.DateField(
        label=label,
        required=False,
        widget=DayInput,
        input_formats=["%Y-%m-%d"],
        validators=[MinValueValidator(FIRST_DAY, era), MaxValueValidator(LAST_DAY, era)],
        error_messages={"invalid": "Give a date such as 2026-03-15."},
    )


def moment_field(label: str, kind: type[forms.DateTimeField] = forms.DateTimeField) -> forms.DateTimeField:
    era = "Give a time between 1970 and 2199."
    first, last = (datetime.combine(day, time.min, tzinfo=UTC) for day in (FIRST_DAY, LAST_DAY))
    return kind(
        label=label,
        required=False,
        validators=[MinValueValidator(first, era), MaxValueValidator(last, era)],
        error_messages={"invalid": "Give a time such as 2026-03-15T10:30:00+00:00."},
    )


def choice_field(label: str, choices: list[tuple[str, str]] | None = None) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        required=False,
        choices=[("", "All"), *(choices or [])],
        error_messages={"invalid_choice": "There is no “%(value)s”. Choose from the list."},
    )


def number_field(label: str, least: int, most: int) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=least, max_value=most)


class RangeFilters(NarrowingForm):
    """The days of a page, and whether it shows test traffic. Dates win over the period; without either, the last days.

    The form shows the period's dates, so they come along, with `filled`: then only others win over the period.

    Once the form is valid, `range` is what was asked for.
    """

    default_period = DEFAULT_PERIOD
    set_by_links: tuple[str, ...] = ("period",)
    range: DayRange
    # Whether the period says which days are shown, not the dates.
    period_rules = False

    period = forms.ChoiceField(
        required=False,
        choices=list(PRESETS.items()),
        error_messages={"invalid_choice": "There is no period “%(value)s”. Choose one of those above."},
    )
    filled = forms.BooleanField(required=False)
    first_day = day_field("From")
    last_day = day_field("To (included)")
    test = forms.BooleanField(label="Include test traffic", required=False)

    def __init__(self, data: QueryDict, now: datetime) -> None:
        super().__init__(data, use_required_attribute=False, auto_id="filter-%s", label_suffix="")
        self.now = now
        self.zone = company_zone()

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if self.has_error("period") or self.has_error("first_day") or self.has_error("last_day"):
            return values
        try:
            self.range = self._range(values.get("period"), values.get("first_day"), values.get("last_day"))
            for name, day in (("first_day", self.range.first_day), ("last_day", self.range.last_day)):
                self.fields[name].widget.shown = day
        except ValidationError as error:
            self.add_error(None, error)
        return values

    def _range(self, period: str | None, first: date | None, last: date | None) -> DayRange:
        shown = preset_range(period or self.default_period, self.now, self.zone)
        is_untouched = self.cleaned_data.get("filled") and (first, last) == (shown.first_day, shown.last_day)
        if is_untouched or (first is None and last is None):
            self.period_rules = True
            return preset_range(period or self.usual_period(), self.now, self.zone)
        if first is None:
            raise ValidationError({"first_day": "Give the first day too."})
        if last is None:
            last = max(first, local_day(self.now, self.zone))
        if last < first:
            raise ValidationError({"last_day": "Give the first day or a later one."})
        if (last - first).days >= MOST_DAYS:
            longest = first + timedelta(days=MOST_DAYS - 1)
            raise ValidationError({"last_day": f"Choose at most {MOST_DAYS} days: {longest} or earlier."})
        return DayRange(first, last, self.zone)

    @property
    def without_a_field(self) -> list[forms.BoundField]:
        """Filters that only links set: what is wrong with them is told above the form."""
        return [self[name] for name in self.fields if name in self.set_by_links]

    @property
    def chosen_period(self) -> str:
        """The preset that is shown; blank where the dates rule."""
        if not self.period_rules:
            return ""
        return self.cleaned_data["period"] or self.usual_period()

    def usual_period(self) -> str:
        """The preset where neither a period nor dates are given."""
        return self.default_period
