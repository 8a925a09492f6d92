"""The sessions that are open now, and what is left for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from customers.models import Agent, Channel, Customer, Tier
from sessions_app.models import Session, SessionQuerySet
from sessions_app.reports.export import FORMATS, Row, export
from sessions_app.reports.figures import NOTHING, Figure, number_words, sessions_address
from sessions_app.reports.filters import WITHOUT
from sessions_app.reports.lines import caller_words
from sessions_app.reports.pages import page, report
from sessions_app.reports.standing import LimitUse, Standing, standings, with_limits
from sessions_app.sums.callers import caller_number
from sessions_app.wording import amount_words, duration_words

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
TOLD_APART = ("started_at", "customer_id", "phone_key", "external_id")
NARROWING = ("channel", "agent", "tier")


class LiveFilters(forms.Form):
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

    @property
    def is_narrowed(self) -> bool:
        return any(self.cleaned_data[name] for name in (*NARROWING, "short"))

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
        test = "on" if self.cleaned_data["test"] else ""
        return {**{name: self.cleaned_data[name] for name in NARROWING}, "test": test}

    def list_address(self) -> str:
        """The list of just these sessions."""
        return sessions_address(open_now="on", **self._kept)

    def short_address(self) -> str:
        """This page with just those that have little left."""
        query = {name: value for name, value in {**self._kept, "short": "on"}.items() if value}
        return f"{reverse('reports:live')}?{urlencode(query)}"


@dataclass(frozen=True)
class OpenLine:
    """An open session as a line. `use` is the tightest limit of call minutes, None where none limits it."""

    session: Session
    caller: str
    elapsed: timedelta
    use: LimitUse | None

    @property
    def elapsed_words(self) -> str:
        return duration_words(max(0.0, self.elapsed.total_seconds()))

    @property
    def left_words(self) -> str:
        if self.use is not None:
            return f"{amount_words(round(self.use.left or 0.0, 1))} min"
        return "No minutes used" if not self.session.counts_toward_call_minutes else "No limit"

    @property
    def limit_words(self) -> str:
        return f"of {self.use.limit}" if self.use is not None else ""

    @property
    def is_short(self) -> bool:
        return self.use is not None and (self.use.left or 0.0) < SOON_MINUTES

    def as_row(self) -> Row:
        session = self.session
        return (
            self.caller,
            session.phone_key,
            str(session.tier or ""),
            str(session.channel or ""),
            str(session.agent or ""),
            timezone.localtime(session.started_at),
            max(0, round(self.elapsed.total_seconds())),
            None if self.use is None else round(self.use.left or 0.0, 2),
            "" if self.use is None else str(self.use.limit),
            str(session),
        )


def open_lines(sessions: SessionQuerySet, now: datetime) -> list[OpenLine]:
    """The newest of the open sessions, at most `MOST_SHOWN`."""
    found = list(
        sessions.select_related("customer", "tier", "channel", "agent")
        .defer("answer", "begin_body", "end_body", "facts", "trace", "would_deny")
        .order_by("-started_at", "-pk")[:MOST_SHOWN]
    )
    ids = {session.customer_id for session in found if session.customer_id is not None and not session.is_test}
    stand = standings(list(with_limits(Customer.objects.filter(pk__in=ids), now)), now)
    return [_line(session, stand.get(session.customer_id or 0), now) for session in found]


def _line(session: Session, standing: Standing | None, now: datetime) -> OpenLine:
    use = None
    if standing is not None and not session.is_test and session.counts_toward_call_minutes:
        use = standing.tightest_minutes(session.channel_id, session.agent_id)
    return OpenLine(session, caller_words(session), now - session.started_at, use)


def live_figures(
    filters: LiveFilters, found: SessionQuerySet, lines: Sequence[OpenLine], total: int, now: datetime
) -> list[Figure]:
    """Of all open sessions, but for the minutes left: those are worked out for the newest alone."""
    short = sum(line.is_short for line in lines)
    everybody = [line.session for line in lines] if total == len(lines) else list(found.only(*TOLD_APART))
    oldest = min(everybody, key=lambda session: session.started_at, default=None)
    callers = {
        caller_number(one.customer_id, one.phone_key, one.external_id) or f"unnamed {one.pk}" for one in everybody
    }
    return [
        Figure(
            "Open now",
            number_words(total),
            "Sessions that were let in and whose end has not come, and whose channel's longest session has not passed.",
            filters.list_address(),
        ),
        Figure(
            "Callers",
            number_words(len(callers)),
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
            number_words(short),
            "Those whose tightest limit of call minutes has less than that left. LiveTok takes no stop during a "
            "session: the call goes on, and the next one is denied.",
            filters.short_address(),
            note=f"of the newest {MOST_SHOWN}" if total > len(lines) else "",
        ),
    ]


@report
def live(request: HttpRequest) -> HttpResponseBase:
    """The open sessions, as a page, as its part that refreshes itself, or as a file."""
    now = timezone.now()
    filters = LiveFilters(request.GET)
    context: dict[str, Any] = {"title": "Live", "filters": filters}
    if not filters.is_valid():
        return page(request, "reports/live.html", context)
    found = filters.open_sessions(now)
    every_line = open_lines(found, now)
    lines = [line for line in every_line if line.is_short] if filters.cleaned_data["short"] else every_line
    file_format = request.GET.get("format")
    if file_format in FORMATS:
        return export("live", file_format, COLUMNS, (line.as_row() for line in lines))
    total = len(every_line) if len(every_line) < MOST_SHOWN else found.count()
    context |= {
        "now": now,
        "lines": lines,
        "total": total,
        "figures": live_figures(filters, found, every_line, total, now),
        "is_cut": total > len(every_line),
        "list_address": filters.list_address(),
        "refresh_seconds": REFRESH_SECONDS,
    }
    if request.GET.get("fragment"):
        return render(request, "reports/_live.html", context)
    return page(request, "reports/live.html", context)
