"""The form of a rule: which conditions a trigger knows, and what of them is stored as JSON."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from automations.models import Rule
from automations.rules.conditions import WEEKDAYS
from automations.texts.checks import MOST_PERCENT, MOST_THRESHOLDS, asks_for_something, check_fit, in_order
from sessions_app.decision.rules import Reason
from sessions_app.wording import reason_words


class ThresholdsField(forms.CharField):
    """Whole percents such as "80, 100", stored as a list of numbers in their order."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        parts = [part.strip().removesuffix("%").strip() for part in str(value or "").split(",")]
        parts = [part for part in parts if part]
        if not all(part.isascii() and part.isdigit() and 1 <= int(part[:9]) <= MOST_PERCENT for part in parts):
            raise ValidationError(f"Write whole numbers from 1 to {MOST_PERCENT}, such as 80, 100.")
        if len(parts) > MOST_THRESHOLDS:
            raise ValidationError(f"At most {MOST_THRESHOLDS} of them.")
        return in_order([int(part) for part in parts])

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((self.prepare_value(initial) or "") != (self.prepare_value(data) or ""))

    def validate(self, value: Any) -> None:
        """A list has no length that CharField's own checks would mean."""

    def run_validators(self, value: Any) -> None:
        pass


class RuleForm(forms.ModelForm):
    reasons = forms.MultipleChoiceField(
        required=False,
        choices=[(reason.value, reason_words(reason)) for reason in Reason if not reason.admits],
        widget=forms.CheckboxSelectMultiple,
        help_text="Why it was denied. None: any reason.",
    )
    weekdays = forms.TypedMultipleChoiceField(
        required=False,
        coerce=int,
        choices=list(enumerate(WEEKDAYS)),
        widget=forms.CheckboxSelectMultiple,
        help_text="In the company's time zone. None: every day.",
    )
    thresholds = ThresholdsField(
        required=False,
        label="Percent of a limit",
        help_text=Rule._meta.get_field("thresholds").help_text,
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        trigger = data.get("trigger")
        if not trigger:
            return data
        given = [name for name in data if asks_for_something(data[name])]
        for name, problems in check_fit(trigger, given).items():
            if name not in self.errors:
                self.add_error(name, problems)
        return data
