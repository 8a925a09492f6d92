"""What is tried: a caller, a channel, an agent and a moment, and what is supposed. Also the links that fill it in."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from customers.lengths import LARGEST_ID
from customers.limits import MOST_AMOUNT, PERIODS_OF, Metric, Period
from customers.masking import may_see_numbers
from customers.models import Agent, Channel, Customer, Tier
from sessions_app.decision.rules import whole_check
from sessions_app.livetok.payloads import LONGEST_TEXT, Conversation, begin_document
from sessions_app.models import Session
from sessions_app.reports.frame.figures import query_of
from sessions_app.reports.frame.range_filters import moment_field
from sessions_app.usage.supposed import Supposed
from sessions_app.webhook.preview import AsIf

USUAL_CHANNEL = "telephony"
MOST_MINUTES = 24 * 60
# LiveTok's ids that are numbers are sent as such.
LONGEST_WHOLE_NUMBER = 18
WORDS = {
    Metric.CALL_MINUTES: "Call minutes",
    Metric.SESSIONS: "Sessions",
    Metric.CONCURRENT_SESSIONS: "Sessions open at once",
}
# The fields of what is supposed to be used, by their names.
SUPPOSED = {
    f"used_{metric}_{period}".removesuffix("_"): (metric, period) for metric in WORDS for period in PERIODS_OF[metric]
}


class MomentInput(forms.DateTimeInput):
    """Shows a moment of any offset as the company's clock does."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__({"step": "1"}, format="%Y-%m-%dT%H:%M:%S")

    def format_value(self, value: Any) -> str | None:
        try:
            moment = parse_datetime(value) if isinstance(value, str) else None
        except ValueError:
            moment = None
        if moment is None or timezone.is_naive(moment):
            return super().format_value(value)
        return timezone.localtime(moment).strftime(str(self.format))


class FirstOfTwo(forms.DateTimeField):
    """Takes every time that a clock can be set to: of an hour that comes twice the first, of one that is left out the
    time after it."""

    def to_python(self, value: Any) -> Any:
        try:
            moment = parse_datetime(value.strip()) if isinstance(value, str) else None
        except ValueError:
            moment = None
        if moment is not None and timezone.is_naive(moment):
            return timezone.make_aware(moment)
        return super().to_python(value)


def _used_field(metric: Metric, period: Period) -> forms.Field:
    label = f"{WORDS[metric]} {_THIS[period]}".strip()
    kind = forms.FloatField if metric is Metric.CALL_MINUTES else forms.IntegerField
    errors = {
        "invalid": "Give a number such as 19.5." if kind is forms.FloatField else "Give a whole number such as 3.",
        "min_value": "Give 0 or more.",
        "max_value": f"Give {MOST_AMOUNT:,} at most.",
    }
    widget = forms.TextInput({"inputmode": "decimal", "autocomplete": "off"})
    return kind(label=label, required=False, min_value=0, max_value=MOST_AMOUNT, widget=widget, error_messages=errors)


_THIS = {Period.DAY: "today", Period.WEEK: "this week", Period.MONTH: "this month", Period.NONE: ""}


class TryForm(forms.Form):
    number = forms.CharField(
        label="Number",
        required=False,
        max_length=LONGEST_TEXT,
        widget=forms.TextInput({"autocomplete": "off", "inputmode": "tel"}),
    )
    customer_id = forms.CharField(
        label="or LiveTok's customer id",
        required=False,
        max_length=LONGEST_TEXT,
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    channel = forms.ChoiceField(
        label="Channel",
        error_messages={
            "required": "Choose a channel.",
            "invalid_choice": "There is no channel “%(value)s”. Choose from the list.",
        },
    )
    agent = forms.ChoiceField(
        label="Agent",
        required=False,
        error_messages={"invalid_choice": "There is no agent “%(value)s”. Choose from the list."},
    )
    moment = moment_field("Moment (empty: now)", FirstOfTwo)
    tier = forms.ModelChoiceField(
        Tier.objects.order_by("name"),
        label="As if the tier were",
        required=False,
        empty_label="as it is",
        to_field_name="slug",
        error_messages={"invalid_choice": "There is no such tier any more. Choose from the list."},
    )
    # Set by a session's page: that session counts for nothing in what is decided.
    session = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LARGEST_ID,
        widget=forms.HiddenInput,
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), "The address names no session. Clear all."),
    )

    def __init__(self, data: Mapping[str, Any] | None) -> None:
        channels = [(channel.pk, str(channel)) for channel in Channel.objects.order_by("slug")]
        usual = {"channel": USUAL_CHANNEL} if any(slug == USUAL_CHANNEL for slug, _ in channels) else {}
        if data is not None:  # a link may give a number alone
            data = {**usual, **{name: data[name] for name in data}}
        super().__init__(data, initial=usual, use_required_attribute=False, auto_id="try-%s", label_suffix="")
        shown: Any = self.fields
        shown["channel"].choices = channels
        self.agents = {agent.pk: agent for agent in Agent.objects.order_by("name", "livetok_id")}
        shown["agent"].choices = [("", "none"), *((pk, str(agent)) for pk, agent in self.agents.items())]
        shown["moment"].widget = MomentInput()
        for name, (metric, period) in SUPPOSED.items():
            self.fields[name] = _used_field(metric, period)

    @property
    def supposed_fields(self) -> list[Any]:
        return [self[name] for name in SUPPOSED]

    @property
    def supposed_in_words(self) -> list[str]:
        """What is supposed to be used: on paper the form itself is not seen."""
        return [f"{self[name].label} {self[name].value()}" for name in SUPPOSED if self[name].value() not in (None, "")]

    @property
    def supposes(self) -> bool:
        """Whether anything is not as it is, or was to be."""
        return any(self[name].value() not in (None, "") for name in ("tier", *SUPPOSED))

    @property
    def as_if(self) -> AsIf:
        given = self.cleaned_data
        used: Supposed = {key: given[name] for name, key in SUPPOSED.items() if given[name] is not None}
        return AsIf(given["tier"], used)

    def conversation(self, session_id: str) -> Conversation:
        given = self.cleaned_data
        agent = self.agents.get(given["agent"])
        return Conversation(
            session_id=session_id,
            channel=given["channel"],
            number=given["number"] or None,
            agent=_as_livetok_sends(agent.pk) if agent else None,
            agent_name=agent.name if agent else "",
            customer_id=given["customer_id"],
        )

    def begin_body(self, session_id: str, now: datetime) -> bytes:
        return json.dumps(begin_document(self.conversation(session_id), self.cleaned_data["moment"] or now)).encode()


def _as_livetok_sends(agent_id: str) -> str | int:
    return int(agent_id) if _is_whole_number(agent_id) else agent_id


def _is_whole_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_WHOLE_NUMBER and str(int(text)) == text


class PlayForm(forms.Form):
    minutes = forms.FloatField(
        label="Minutes until its end",
        min_value=0,
        max_value=MOST_MINUTES,
        initial=5,
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
        error_messages={
            "required": "Give a number of minutes, such as 5.",
            "invalid": "Give a number of minutes, such as 5.",
            "min_value": "Give 0 or more.",
            "max_value": f"Give {MOST_MINUTES:,} at most: no longer session is counted.",
        },
    )

    def __init__(self, data: Mapping[str, Any] | None) -> None:
        super().__init__(data, use_required_attribute=False, auto_id="play-%s", label_suffix="")


def try_customer_address(customer: Customer) -> str:
    """The page with a customer's number, or LiveTok's id, filled in; blank where there is neither.

    Who may not see numbers gets no address that has one.
    """
    number = next((number.number for number in customer.numbers.all()), "") if may_see_numbers() else ""
    if not number and not customer.external_id:
        return ""
    return _address(number=number, customer_id="" if number else customer.external_id)


def try_session_address(session: Session) -> str:
    """The page with all of a session filled in, and what was used then, as far as its trace says so."""
    if session.reason is None or session.is_erased or (session.phone_key and not may_see_numbers()):
        return ""
    return _address(
        number=session.number_received or session.phone_key,
        customer_id=session.external_id,
        channel=session.channel_id,
        agent=session.agent_id,
        moment=session.facts.get("now") or session.started_at.isoformat(),
        session=session.pk,
        **dict(_used_then(session)),
    )


def _used_then(session: Session) -> Iterator[tuple[str, float]]:
    """Of a channel's or an agent's limit, use elsewhere is unknown, and so is what the others would count."""
    checks = [whole_check(check) for check in session.trace if "limit" in check]
    for name, key in SUPPOSED.items():
        found = [check for check in checks if (check["metric"], check["period"]) == key]
        if found and all(check["channel"] is None and check["agent"] is None for check in found):
            yield from ((name, check["used"]) for check in found[:1] if check["used"] is not None)


def _address(**given: object) -> str:
    return f"{reverse('reports:try')}{query_of(**given)}"
