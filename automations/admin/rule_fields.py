"""The form of a rule: which conditions a trigger knows, and what of them is stored as JSON."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from automations.models import Rule, Trigger
from automations.rules.conditions import WEEKDAYS
from sessions_app.decision.rules import Reason
from sessions_app.wording import reason_words

LARGEST_THRESHOLD = 1000
MOST_THRESHOLDS = 10

_OF_SESSIONS = [trigger.value for trigger in Trigger if trigger not in (Trigger.USAGE_REACHED, Trigger.SILENT)]
# By condition, the triggers that know it, and what to say with any other.
KNOWN_BY: dict[str, tuple[list[str], str]] = {
    "tiers": ([*_OF_SESSIONS, Trigger.USAGE_REACHED.value], "Silence is of no tier. Choose none."),
    "channels": (_OF_SESSIONS, "This is told of no single channel. Choose none."),
    "agents": (_OF_SESSIONS, "This is told of no single agent. Choose none."),
    "customers": (
        [*[trigger for trigger in _OF_SESSIONS if trigger != Trigger.NEW_CALLER], Trigger.USAGE_REACHED.value],
        "Neither silence nor a new caller is of a customer that you could choose. Choose none.",
    ),
    "reasons": ([Trigger.BEGAN_DENIED.value], "Only a session that was denied has one of these. Choose none."),
    "least_duration_seconds": (
        [Trigger.ENDED.value, Trigger.END_CORRECTED.value],
        "Only a session that ended has a duration. Leave it blank.",
    ),
    "covers_tests": (_OF_SESSIONS, "Test traffic uses up nothing, and breaks no silence. Leave it off."),
    "thresholds": ([Trigger.USAGE_REACHED.value], "Only usage reaches a part of a limit. Leave it blank."),
}


class ThresholdsField(forms.CharField):
    """Whole percents such as "80, 100", stored as a list of numbers in their order."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        parts = [part.strip().removesuffix("%").strip() for part in str(value or "").split(",")]
        parts = [part for part in parts if part]
        if not all(part.isascii() and part.isdigit() and 1 <= int(part[:9]) <= LARGEST_THRESHOLD for part in parts):
            raise ValidationError(f"Write whole numbers from 1 to {LARGEST_THRESHOLD}, such as 80, 100.")
        if len(parts) > MOST_THRESHOLDS:
            raise ValidationError(f"At most {MOST_THRESHOLDS} of them.")
        return sorted({int(part) for part in parts})

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
        for name, (known_by, sentence) in KNOWN_BY.items():
            if trigger not in known_by and _says_something(data.get(name)):
                self.add_error(name, sentence)
        if trigger == Trigger.USAGE_REACHED and not data.get("thresholds") and "thresholds" not in self.errors:
            self.add_error("thresholds", "Give at least one, such as 80, 100.")
        return data


def _says_something(value: Any) -> bool:
    """Zero seconds are a condition, too."""
    return bool(value.exists()) if hasattr(value, "exists") else value not in (None, "", []) and value is not False
