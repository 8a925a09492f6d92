"""The sessions that are open now, and what is left for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from customers.masking import shown_number
from customers.models import Agent, Channel, Customer, Tier
from sessions_app.database.replica import current_reading
from sessions_app.database.snapshots import one_snapshot
from sessions_app.models import LONG_FIELDS, Session, SessionQuerySet
from sessions_app.reports.frame.export import FORMATS, Row, export
from sessions_app.reports.frame.figures import NOTHING, Figure, number_words, query_of, sessions_address
from sessions_app.reports.frame.narrowing import NarrowingForm
from sessions_app.reports.frame.pages import page, report
from sessions_app.reports.frame.range_filters import WITHOUT
from sessions_app.reports.list.lines import beside_caller, caller_words
from sessions_app.sums.callers import caller_number
from sessions_app.usage.shares import short_of_minutes
from sessions_app.usage.standing import LimitUse, Standing, standings, with_limits
from sessions_app.wording import duration_words, left_number

MOST_SHOWN = 200
REFRESH_SECONDS = 10
SOON_MINUTES = 5
COLUMNS = (
    "Caller",
    "Number",
    "Tier",
    "Channel",
    "Agent",
    "Started",
    "Open for (s)",
    "Minutes left",
    "Limit",
    "Session",
)
NARROWING = ("channel", "agent", "tier")


class LiveFilters(NarrowingForm):
    narrowed_by = (*NARROWING, "short")

    channel = forms.ChoiceField(label="Channel", required=False)
    agent = forms.ChoiceField(label="Agent", required=False)
    tier = forms.ChoiceField(label="Tier", required=False)
    short = forms.BooleanField(label=f"Less than {SOON_MINUTES} min left", required=False)
    test = forms.BooleanField(label="Include test traffic", required=False)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data, use_required_attribute=False, auto_id="filter-%s", label_suffix="")
        self._offer("channel", [(channel.pk, str(channel)) for channel in Channel.objects.all()], "No channel")
        self._offer("agent", [(agent.pk, str(agent)) for agent in Agent.objects.all()], "No agent")
        self._offer("tier", [(tier.slug, tier.name) for tier in Tier.objects.all()], "No tier")

    def _offer(self, name: str, choices: list[tuple[str, str]], without: str) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "All"), *choices, (WITHOUT, without)]
        field.error_messages["invalid_choice"] = "There is no “%(value)s”. Choose from the list."

    def open_sessions(self, now: datetime) -> SessionQuerySet:
        found = Session.objects.in_state(Session.State.OPEN, now)
        values = self.cleaned_data
        if not values["test"]:
            found = found.filter(is_test=False)
        for name, path in (("tier", "tier__slug"), ("channel", "channel"), ("agent", "agent")):
            if values[name] == WITHOUT:
                found = found.filter(**{f"{name}__isnull": True})
            elif values[name]:
                found = found.filter(**{path: values[name]})
        return found

    @property
    def _kept(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in (*NARROWING, "test")}

    def list_address(self) -> str:
        """The list of just these sessions."""
        return sessions_address(open_now=True, **self._kept)

    def short_address(self) -> str:
        """This page with just those that have little left."""
        return f"{reverse('reports:live')}{query_of(**self._kept, short=True)}"


@dataclass(frozen=True)
class OpenLine:
    """An open session as a line. `use` is the tightest limit of call minutes, None where none limits it; `more` is what
    the customer's top-ups have left beside it."""

    session: Session
    caller: str
    elapsed: timedelta
    use: LimitUse | None
    more: float

    @property
    def beside_caller(self) -> str:
        return beside_caller(self.session, self.caller)

    @property
    def elapsed_words(self) -> str:
        return duration_words(max(0.0, self.elapsed.total_seconds()))

    @property
    def left(self) -> float | None:
        """Minutes; None where nothing limits them."""
        return None if self.use is None else (self.use.left or 0.0) + self.more

    @property
    def left_words(self) -> str:
        if self.left is not None:
            return f"{left_number(self.left)} min"
        return "No minutes used" if not self.session.counts_toward_call_minutes else "No limit"

    @property
    def limit_words(self) -> str:
        return f"of {self.limit}" if self.use is not None else ""

    @property
    def limit(self) -> str:
        return "" if self.use is None else f"{self.use.limit}{' and top-ups' if self.more else ''}"

    @property
    def is_short(self) -> bool:
        return self.left is not None and self.left < SOON_MINUTES

    def as_row(self) -> Row:
        session = self.session
        return (
            self.caller,
            shown_number(session.phone_key),
            str(session.tier or ""),
            str(session.channel or ""),
            str(session.agent or ""),
            timezone.localtime(session.started_at),
            max(0, round(self.elapsed.total_seconds())),
            None if self.left is None else round(self.left, 2),
            self.limit,
            str(session),
        )


@dataclass(frozen=True)
class OpenRow:
    """What the figures need of an open session, in the names of `Session`."""

    started_at: datetime
    pk: int
    customer_id: int | None
    phone_key: str
    external_id: str
    channel_id: str | None
    agent_id: str | None
    is_test: bool
    counts_toward_call_minutes: bool

    @property
    def caller(self) -> int | str:
        return caller_number(self.customer_id, self.phone_key, self.external_id) or f"unnamed {self.pk}"

    @property
    def uses_minutes(self) -> bool:
        return self.customer_id is not None and not self.is_test and self.counts_toward_call_minutes


def open_rows(sessions: SessionQuerySet) -> list[OpenRow]:
    """All of the open sessions, the newest first.

    Sorted here: asked for an order, a database may look through every session there is instead of the few open ones.
    """
    names = (field.name for field in fields(OpenRow))
    return [OpenRow(*row) for row in sorted(sessions.order_by().values_list(*names), reverse=True)]


def short_ones(rows: Sequence[OpenRow], now: datetime) -> list[OpenRow]:
    """Those whose customer has a limit of call minutes that applies and has less than `SOON_MINUTES` left, with what
    top-ups have left."""
    using = [row for row in rows if row.uses_minutes]
    scopes = short_of_minutes(now, SOON_MINUTES, sorted({row.customer_id or 0 for row in using}))
    return [
        row
        for row in using
        if any(
            (row.customer_id, channel, agent) in scopes
            for channel in {"", row.channel_id or ""}
            for agent in {"", row.agent_id or ""}
        )
    ]


def open_lines(rows: Sequence[OpenRow], now: datetime) -> list[OpenLine]:
    """The first of them in full, at most `MOST_SHOWN`."""
    ids = [row.pk for row in rows[:MOST_SHOWN]]
    sessions = Session.objects.select_related("customer", "tier", "channel", "agent").defer(*LONG_FIELDS)
    by_pk = sessions.in_bulk(ids)
    found = [by_pk[pk] for pk in ids]
    customers = {session.customer_id for session in found if session.customer_id is not None and not session.is_test}
    stand = standings(list(with_limits(Customer.objects.filter(pk__in=customers), now)), now)
    return [_line(session, stand.get(session.customer_id or 0), now) for session in found]


def _line(session: Session, standing: Standing | None, now: datetime) -> OpenLine:
    use, more = None, 0.0
    if standing is not None and not session.is_test and session.counts_toward_call_minutes:
        use, more = standing.tightest_minutes(session.channel_id, session.agent_id), standing.top_up_minutes_left
    return OpenLine(session, caller_words(session), now - session.started_at, use, more)


def live_figures(
    filters: LiveFilters, rows: Sequence[OpenRow], short: Sequence[OpenRow], now: datetime
) -> list[Figure]:
    oldest = rows[-1] if rows else None
    return [
        Figure(
            "Open now",
            number_words(len(rows)),
            "Sessions that were let in and whose end has not come, and whose channel's longest session has not passed.",
            filters.list_address(),
        ),
        Figure(
            "Callers",
            number_words(len({row.caller for row in rows})),
            "How many different customers they are, or numbers or ids where the caller is no customer. Callers without "
            "either count one by one.",
            filters.list_address(),
        ),
        Figure(
            "Longest",
            duration_words(max(0.0, (now - oldest.started_at).total_seconds())) if oldest else NOTHING,
            "How long the oldest of them has been open, from LiveTok's time of its begin to our clock.",
            reverse("reports:session", args=[oldest.pk]) if oldest else "",
        ),
        Figure(
            f"Less than {SOON_MINUTES} min left",
            number_words(len(short)),
            "Those whose tightest limit of call minutes, with top-ups, has less than that left. LiveTok takes no stop "
            "during a session: the call goes on, and the next one is denied.",
            filters.short_address(),
        ),
    ]


@report
def live(request: HttpRequest) -> HttpResponseBase:
    """The open sessions, as a page, as its part that refreshes itself, or as a file."""
    now = timezone.now()
    filters = LiveFilters(request.GET)
    context: dict[str, Any] = {"title": "Live", "filters": filters, "reading": current_reading()}
    if not filters.is_valid():
        return page(request, "reports/live.html", context)
    # So that the figures and the lines below them are of the same sessions.
    with one_snapshot():
        rows = open_rows(filters.open_sessions(now))
        short = short_ones(rows, now)
        listed = short if filters.cleaned_data["short"] else rows
        lines = open_lines(listed, now)
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        return export("live", file_format, COLUMNS, (line.as_row() for line in lines))
    context |= {
        "now": now,
        "lines": lines,
        "total": len(listed),
        "figures": live_figures(filters, rows, short, now),
        "list_address": filters.list_address(),
        "refresh_seconds": REFRESH_SECONDS,
    }
    if request.GET.get("fragment"):
        return render(request, "reports/_live.html", context)
    return page(request, "reports/live.html", context)
