"""A customer's top-ups on the customer's page: what is left of each; and the forms that add and end one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django import forms

from customers.limits import MOST_AMOUNT, Metric
from customers.models import Customer, TopUp
from customers.models.top_ups import LIFTED_METRICS
from sessions_app.periods import ONE_DAY, starts_at
from sessions_app.reports.change_forms import LAST_DAY, Ends
from sessions_app.usage.standing import Standing
from sessions_app.wording import left_number, short_number

DEFINITION = (
    "Once a limit of a day, week or month is used up, a top-up lets sessions in: the one that ends soonest first. A "
    "session draws on it wholly, and what is drawn uses up no limit. Left: without what open sessions hold of it."
)


@dataclass(frozen=True)
class TopUpLine:
    """`left` is blank where it is not valid now."""

    top_up: TopUp
    left: str
    state: str

    @property
    def what(self) -> str:
        return Metric(self.top_up.metric).words

    @property
    def amount(self) -> str:
        return short_number(self.top_up.amount)


def top_up_lines(standing: Standing, now: datetime) -> list[TopUpLine]:
    """Those that have not ended, the first to be drawn on first."""
    balances = {balance.top_up_id: balance for balance in standing.usage.balances}
    lines = []
    for top_up in standing.customer.top_ups.select_related("author").as_used():
        if top_up.valid_until is not None and top_up.valid_until <= now:
            continue
        balance = balances.get(top_up.pk)
        if balance is None:
            lines.append(TopUpLine(top_up, "", "Begins later"))
        else:
            lines.append(TopUpLine(top_up, left_number(balance.left), "" if balance.left > 0 else "Used up"))
    return lines


class AddTopUpForm(forms.Form):
    metric = forms.ChoiceField(
        label="Of what",
        choices=[(metric.value, metric.words.capitalize()) for metric in LIFTED_METRICS],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose call minutes or sessions."},
    )
    amount = forms.IntegerField(
        label="How much",
        min_value=1,
        max_value=MOST_AMOUNT,
        widget=forms.NumberInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        error_messages={
            "required": "Give the amount as a whole number, such as 60.",
            "invalid": "Give the amount as a whole number, such as 60.",
            "min_value": "Give 1 or more.",
            "max_value": f"Give {MOST_AMOUNT:,} at most.",
        },
    )
    last_day = forms.DateField(
        label="Last day (may stay empty: for ever)",
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": "Give a day as year, month and day, such as 2026-12-04."},
    )
    note = forms.CharField(label="Why, for your colleagues (may stay empty)", required=False, max_length=200)

    def __init__(self, data: Mapping[str, Any] | None, ends: Ends, metric: str = "") -> None:
        """`metric` is what it is proposed for; call minutes where that is none of the choices."""
        proposed = metric if metric in LIFTED_METRICS else Metric.CALL_MINUTES.value
        super().__init__(
            data,
            initial={"metric": proposed},
            use_required_attribute=False,
            auto_id="topup-%s",
            label_suffix="",
        )
        self.ends = ends

    @property
    def valid_until(self) -> datetime | None:
        day = self.cleaned_data["last_day"]
        return None if day is None else starts_at(day + ONE_DAY, self.ends.zone)

    def clean_last_day(self) -> date | None:
        day: date | None = self.cleaned_data["last_day"]
        if day is not None and day < self.ends.today:
            raise forms.ValidationError(f"Give a day from today, {self.ends.today}, on.")
        if day is not None and day > LAST_DAY:
            raise forms.ValidationError(f"Give a day up to {LAST_DAY}, or leave it empty.")
        return day

    def in_words(self) -> str:
        amount = Metric(self.cleaned_data["metric"]).counted(self.cleaned_data["amount"])
        day = self.cleaned_data["last_day"]
        return f"a top-up of {amount}, {f'valid to the end of {day}' if day else 'without an end'}."


def is_added(customer: Customer, form: AddTopUpForm) -> bool:
    """Whether this very top-up is the newest one that the customer has."""
    newest = TopUp.objects.filter(customer=customer).order_by("-pk").first()
    given = form.cleaned_data
    wanted = (given["metric"], given["amount"], form.valid_until, given["note"])
    return newest is not None and wanted == (newest.metric, newest.amount, newest.valid_until, newest.note)
