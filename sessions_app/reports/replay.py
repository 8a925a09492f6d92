"""What a draft's limits would have done: the page of a replay, while the worker is at it and after; and asking for one.

The limits of now are replayed as the draft's are, so what differs comes from the limits alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from customers.history import moment_words
from customers.limits import Limit
from customers.models import Agent, Customer, TierChange
from customers.scheduling import compared_limits
from sessions_app.models import Replay, Session
from sessions_app.models.replays import DAYS
from sessions_app.replay.running import ask_for_replay, asked_of, is_of_now
from sessions_app.replay.summing import Changed, Line, Summary, Touched, Turned
from sessions_app.reports.frame.figures import count_words, number_words, signed
from sessions_app.reports.frame.pages import action, page, report_of_primary
from sessions_app.sums.pruned import sessions_since
from sessions_app.wording import reason_words

CHANGE_TIERS = "customers.change_tier"
SEE_TIERS = ("customers.view_tier", CHANGE_TIERS)
REFRESH_SECONDS = 2
SESSIONS_A_PAGE, CUSTOMERS_SHOWN = 50, 20
HAS_COME = "These limits have come into force: there is nothing to compare with those of now any more."


@dataclass(frozen=True)
class CompareLine:
    """One row of what both sets of limits decide. `reason` lines are parts of the denied."""

    what: str
    now: str
    then: str
    difference: str
    is_part: bool = False


@dataclass(frozen=True)
class CustomerLine:
    """`customer` is None where it was deleted since."""

    touched: Touched
    customer: Customer | None

    @property
    def minutes(self) -> str:
        return minutes_more(self.touched.call_seconds)


@dataclass(frozen=True)
class SessionLine:
    """`customer` is None where it was deleted since; `is_there`: the session's page still is."""

    changed: Changed
    customer: Customer | None
    is_there: bool

    @property
    def reason(self) -> str:
        return reason_words(self.changed.reason)

    @property
    def minutes(self) -> str:
        return minutes_more(self.changed.call_seconds if self.changed.is_let_in else -self.changed.call_seconds)


@report_of_primary
def replay_page(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The result, or as much of it as there is; `fragment` asks for the part that refreshes itself."""
    if not any(map(request.user.has_perm, SEE_TIERS)):
        return page(request, "reports/no_access.html", {"title": "Reports", "permission": SEE_TIERS[0]}, status=403)
    replay = get_object_or_404(Replay.objects.select_related("change__tier", "asked_by"), pk=pk)
    may_ask = request.user.has_perm(CHANGE_TIERS) and not replay.change.has_come
    context = {
        "title": f"{_what(replay.change)}, the last {replay.days} days",
        "replay": replay,
        "change": replay.change,
        "may_ask": may_ask,
        "others": _others(replay, may_ask=may_ask),
        "refresh_seconds": REFRESH_SECONDS,
        **_result(replay, request.GET.get("page")),
    }
    if request.GET.get("fragment"):
        return render(request, "reports/_replay.html", context)
    return page(request, "reports/replay.html", context)


@action(CHANGE_TIERS)
def ask(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Have a stored draft or scheduled change replayed, and lead to the result."""
    change = get_object_or_404(TierChange.objects.select_related("tier"), pk=pk)
    back = HttpResponseRedirect(reverse("admin:customers_tierchange_change", args=[pk]))
    days = request.POST.get("days", "")
    if request.method != "POST" or days not in map(str, DAYS):
        return back
    if change.has_come:
        messages.error(request, HAS_COME)
        return back
    assert isinstance(request.user, User)
    replay = ask_for_replay(change, int(days), request.user)
    return HttpResponseRedirect(reverse("reports:replay", args=[replay.pk]))


def _what(change: TierChange) -> str:
    if change.starts_at is None:
        return f"Draft of {change.tier}"
    return f"{change.tier} from {moment_words(change.starts_at)}"


def _others(replay: Replay, *, may_ask: bool) -> list[dict[str, Any]]:
    """The same change over other days, as far as there are results or may be."""
    found = dict(Replay.objects.filter(change=replay.change_id).exclude(pk=replay.pk).values_list("days", "pk"))
    return [
        {"days": days, "pk": found.get(days)} for days in DAYS if days != replay.days and (may_ask or days in found)
    ]


def _result(replay: Replay, page_number: str | None) -> dict[str, Any]:
    summary = Summary.of(replay.result)
    changed = Paginator(summary.changed, SESSIONS_A_PAGE).get_page(page_number)
    touched = summary.touched[:CUSTOMERS_SHOWN]
    customers = Customer.objects.prefetch_related("numbers").in_bulk(
        {one.customer for one in changed} | {one.customer for one in touched}
    )
    there = set(Session.objects.filter(pk__in=[one.session for one in changed]).values_list("pk", flat=True))
    since = sessions_since()
    noun = "draft" if replay.change.starts_at is None else "change"
    return {
        "noun": noun,
        "summary": summary,
        "percent": int(100 * replay.share_done),
        "sentence": result_sentence(summary, noun),
        "compared": compare_lines(summary.now, summary.then),
        "limits": _compared_limits(replay),
        "changed": changed,
        "turned": summary.denied.sessions + summary.let_in.sessions,
        "session_lines": [SessionLine(one, customers.get(one.customer), one.session in there) for one in changed],
        "customer_lines": [CustomerLine(one, customers.get(one.customer)) for one in touched],
        "is_of_now": replay.change.has_come or is_of_now(replay),
        "deleted_before": since if since is not None and since > replay.since else None,
    }


def _compared_limits(replay: Replay) -> list[Any]:
    lines = asked_of(replay).lines
    named = Agent.objects.in_bulk({limit.agent for limits in lines for limit in limits if limit.agent is not None})
    now, then = (list(_with_names(limits, named)) for limits in lines)
    return compared_limits(now, then)


def _with_names(limits: Sequence[Limit], agents: dict[str, Agent]) -> Iterable[Limit]:
    for limit in limits:
        agent = agents.get(limit.agent or "")
        yield limit if agent is None else replace(limit, agent_name=agent.name)


def result_sentence(summary: Summary, noun: str) -> str:
    """The answer in one sentence: how many sessions of whom, and how many call minutes."""
    parts = [
        f"{_of_whom(turned)} would have been {outcome} that today's limits {today}"
        for turned, outcome, today in (
            (summary.let_in, "let in", "deny"),
            (summary.denied, "denied", "let in"),
        )
        if turned.sessions
    ]
    if not parts:
        return f"With this {noun}, every session would have been decided as by today's limits."
    seconds = summary.then.call_seconds - summary.now.call_seconds
    return f"With this {noun}, {', and '.join(parts)}: {_minutes_in_all(seconds, is_guessed=_is_guessed(summary))}."


def _of_whom(turned: Turned) -> str:
    return f"{count_words(turned.sessions, 'session')} of {count_words(turned.customers, 'customer')}"


def _is_guessed(summary: Summary) -> bool:
    return bool(summary.let_in.guessed or summary.denied.guessed)


def _minutes_in_all(seconds: int, *, is_guessed: bool) -> str:
    minutes = round(abs(seconds) / 60)
    if not minutes:
        return "as many call minutes as now" if not seconds else "less than a call minute's difference"
    about = "about " if is_guessed else ""
    return f"{about}{count_words(minutes, 'call minute')} {'more' if seconds > 0 else 'less'}"


def minutes_more(seconds: int) -> str:
    """Such as "+3.5"."""
    return signed(f"{seconds / 60:+,.1f}") if seconds else "0"


def compare_lines(now: Line, then: Line) -> list[CompareLine]:
    """What both sets of limits decide, with each reason of a denial below the denied."""
    reasons = sorted({*now.reasons, *then.reasons}, key=lambda reason: (-now.reasons.get(reason, 0), reason))
    return [
        _line("Sessions let in", now.let_in, then.let_in),
        _line("Sessions denied", now.denied, then.denied),
        *(
            _line(reason_words(reason), now.reasons.get(reason, 0), then.reasons.get(reason, 0), is_part=True)
            for reason in reasons
        ),
        _line("Customers who met a denial", now.customers, then.customers),
        _line("Call minutes", round(now.call_seconds / 60), round(then.call_seconds / 60)),
    ]


def _line(what: str, now: int, then: int, *, is_part: bool = False) -> CompareLine:
    difference = signed(f"{then - now:+,}") if then != now else "the same"
    return CompareLine(what, number_words(now), number_words(then), difference, is_part)
