"""The list of sessions as rows of a file: the same sessions and columns, at a cost that millions of them allow."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Case, CharField, Value, When

from customers.masking import shown_number
from customers.models import Agent, Channel, Tier
from sessions_app.database.replica import steadily
from sessions_app.models import STATE_CONDITIONS, Session, SessionQuerySet
from sessions_app.reports.frame.export import Row
from sessions_app.reports.list.cursors import Cursor
from sessions_app.reports.list.filters import SessionFilters
from sessions_app.reports.list.queries import all_in_order, newest_first
from sessions_app.wording import FLAGS, STATES, flag_sentence, reason_words

COLUMNS = ("pk",
           "started_at", "phone_key", "external_id", "reason", "duration_seconds", "session_id", "number", "is_test",
           "flags", "tier_id", "channel_id", "agent_id", "customer_id", "customer__name", "customer__external_id",
           "state")  # fmt: skip


def columns(zone: ZoneInfo) -> list[str]:
    started = f"Started ({zone.key})"
    return [
        started,
        "Caller",
        "Number",
        "State",
        "Reason",
        "Duration (s)",
        "Tier",
        "Channel",
        "Agent",
        "Session",
        "Odd",
    ]


def rows_of(filters: SessionFilters, found: SessionQuerySet) -> Iterator[Row]:
    """All of what the filters have `found`, in the list's order, and never many in memory.

    What is there all the time comes once. The database is asked for some at a time, and holds nothing between: on
    SQLite its log would grow for as long as somebody takes to download.
    """

    def chosen(sessions: SessionQuerySet) -> Any:
        return sessions.annotate(state=_state(filters.now)).values_list(*COLUMNS)

    names = steadily(_Names)
    if filters.has_stretches:
        rows = newest_first(lambda stretch: chosen(filters.sessions(within=stretch)), filters.range.stretch)
    else:
        rows = all_in_order(chosen(found), filters.order, partial(_place, order=filters.order))
    for values in rows:
        yield names.row(values, filters.zone)


def _place(values: tuple[Any, ...], order: str) -> Cursor:
    told = dict(zip(COLUMNS, values, strict=True))
    first = {"duration": told["duration_seconds"], "customer": told["customer_id"]}.get(order)
    return Cursor(told["started_at"], told["pk"], first)


def _state(now: datetime) -> Case:
    """`Session.state_at`; tried in order, so that only what has no end is asked whether it is open."""
    tried = (Session.State.DENIED, Session.State.ENDED, Session.State.MISSING_END)
    cases = [When(STATE_CONDITIONS[state.value](now), then=Value(STATES[state.value])) for state in tried]
    return Case(*cases, default=Value(STATES[Session.State.OPEN.value]), output_field=CharField())


class _Names:
    """What is looked up once, rather than joined to every row."""

    def __init__(self) -> None:
        self.tiers: dict[Any, str] = {None: "", **dict(Tier.objects.values_list("pk", "name"))}
        self.channels: dict[Any, str] = {channel.pk: str(channel) for channel in Channel.objects.all()}
        self.agents: dict[Any, str] = {agent.pk: str(agent) for agent in Agent.objects.all()}
        self.reasons: dict[str | None, str] = {"allowed": ""}
        self.flags: dict[tuple[str, bool], str] = {("", False): ""}

    def row(self, values: tuple[Any, ...], zone: ZoneInfo) -> Row:
        (
            _, started_at, phone_key, external_id, reason, seconds, session_id, number, is_test,
            flags, tier, channel, agent, customer, name, customer_external_id, state,
        ) = values  # fmt: skip
        if reason not in self.reasons:
            self.reasons[reason] = reason_words(reason)
        if (flags, is_test) not in self.flags:
            self.flags[flags, is_test] = _flag_words(flags, is_test)
        number_shown = shown_number(phone_key)
        caller = name or customer_external_id or number_shown or (f"Customer {customer}" if customer else external_id)
        return (
            started_at.astimezone(zone).replace(tzinfo=None),
            caller or "No number",
            number_shown,
            state,
            self.reasons[reason],
            seconds,
            self.tiers.get(tier, ""),
            self.channels.get(channel, channel or ""),
            self.agents.get(agent, agent or ""),
            f"{session_id} ({number + 1})" if number else session_id,
            self.flags[flags, is_test],
        )


def _flag_words(flags: str, is_test: bool) -> str:
    words = [flag_sentence(flag) for flag in flags.split()]
    return " ".join([FLAGS["test"], *words] if is_test and "test" not in flags.split() else words)
