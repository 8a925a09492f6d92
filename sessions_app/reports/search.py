"""The one search, from every page's header: customers, callers' numbers, sessions, tiers and agents, best first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.db.models import Q
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from customers.masking import may_see_numbers, shown_email, shown_number
from customers.models import Agent, Customer, PhoneNumber, Tier
from customers.phones import is_number
from customers.search.finding import (
    MOST_MATCHES,
    Wanted,
    best_first,
    exactly,
    has_words,
    is_exact,
    matches,
    wanted,
)
from customers.search.folding import folded
from sessions_app.models import Session
from sessions_app.reports.frame.figures import agent_address
from sessions_app.reports.frame.pages import page, report_for
from sessions_app.reports.frame.range_filters import MOST_DAYS
from sessions_app.reports.list.lines import lines_of
from sessions_app.reports.list.queries import LISTED
from sessions_app.reports.list.search import numbers_of_callers, numbers_of_newest

SHOWN = 8
SEE_SESSIONS = "sessions_app.view_session"
# As the navigation has it, whoever may change may see.
SEE_CUSTOMERS, CHANGE_CUSTOMERS = "customers.view_customer", "customers.change_customer"
SEE_TIERS, CHANGE_TIERS = "customers.view_tier", "customers.change_tier"
SEE_AGENTS = "customers.view_agent"


@dataclass(frozen=True)
class Hit:
    """One of what was found: where its name leads, and what tells it from others."""

    name: str
    address: str
    about: Sequence[str] = ()


@dataclass(frozen=True)
class Group:
    """The best of one kind, and the address of the list that has all."""

    heading: str
    hits: Sequence[Any]
    has_more: bool = False
    all_words: str = ""
    all_address: str = ""


@report_for(SEE_SESSIONS, SEE_CUSTOMERS, CHANGE_CUSTOMERS, SEE_TIERS, CHANGE_TIERS, SEE_AGENTS)
def search(request: HttpRequest) -> HttpResponseBase:
    """What a text finds; straight there where one customer or session is just that."""
    looked_for = wanted(request.GET.get("q", ""))
    context: dict[str, Any] = {"title": "Search", "looked_for": looked_for.text}
    if not looked_for.text:
        return page(request, "reports/search.html", context)
    user: Any = request.user
    sessions = _sessions(looked_for) if user.has_perm(SEE_SESSIONS) else []
    may_see_customers = _may_any(user, SEE_SESSIONS, SEE_CUSTOMERS, CHANGE_CUSTOMERS)
    customers, has_more = _customers(looked_for) if may_see_customers else ([], False)
    others = [
        _number_group(looked_for) if user.has_perm(SEE_SESSIONS) else Group("", []),
        _tier_group(looked_for, user),
        _agent_group(looked_for, user),
    ]
    is_alone = not any(group.hits for group in others)
    if (address := _straight(looked_for, customers, sessions, user, is_alone=is_alone)) is not None:
        return HttpResponseRedirect(address)
    found = [_customer_group(looked_for, customers, has_more, user), _session_group(looked_for, sessions)]
    groups = [found[0], others[0], found[1], *others[1:]]
    context["groups"] = [group for group in groups if group.hits]
    return page(request, "reports/search.html", context)


def _straight(
    looked_for: Wanted, customers: Sequence[Customer], sessions: Sequence[Session], user: Any, *, is_alone: bool
) -> str | None:
    """The page of the only customer or session whose number, id or address the text is.

    A whole number and an e-mail address can mean nobody else. Fewer digits may be an id and the end of others' numbers:
    they have to be of all that is found. `is_alone`: whether no caller, tier or agent is.
    """
    exact = [_customer_address(customer, user) for customer in customers if is_exact(looked_for, customer)]
    of_id = [_session_address(session) for session in sessions if session.session_id == looked_for.text]
    if len(exact) + len(of_id) != 1:
        return None
    is_whole = "@" in looked_for.text or looked_for.text.startswith("+") or is_number(looked_for.key or "")
    if exact and is_whole:
        return exact[0]
    if looked_for.digits and len(customers) + len(of_id) > 1:
        return None
    return [*exact, *of_id][0] if is_alone else None


# Customers


def _customers(looked_for: Wanted) -> tuple[list[Customer], bool]:
    """Those most likely meant, one more than is shown at most; and whether there are more."""
    # Of very many, those that were read are no better than others; but who is exactly meant is always among them.
    meant = set(exactly(looked_for).values_list("pk", flat=True))
    found = best_first(looked_for, matches(looked_for).ids | meant, meant, SHOWN + 1)
    return found[:SHOWN], len(found) > SHOWN


def _customer_address(customer: Customer, user: Any) -> str:
    if user.has_perm(SEE_SESSIONS):
        return reverse("reports:customer", args=[customer.pk])
    return reverse("admin:customers_customer_change", args=[customer.pk])


def _customer_group(looked_for: Wanted, customers: Sequence[Customer], has_more: bool, user: Any) -> Group:
    def email(customer: Customer) -> str:
        return shown_email(customer.email) if _may_any(user, SEE_CUSTOMERS, CHANGE_CUSTOMERS) else ""

    hits = [
        Hit(
            str(customer),
            _customer_address(customer, user),
            [
                *(str(number) for number in customer.numbers.all()[:3]),
                *(text for text in (customer.external_id, email(customer), str(customer.tier)) if text),
                *([] if customer.status == Customer.Status.ACTIVE else [customer.get_status_display()]),
            ],
        )
        for customer in customers
    ]
    name = "reports:customers" if user.has_perm(SEE_SESSIONS) else "admin:customers_customer_changelist"
    return Group("Customers", hits, has_more, "All customers found", _list(name, looked_for.text))


# Sessions


def _sessions(looked_for: Wanted) -> list[Session]:
    """Those of this id first, then the newest of this number or of LiveTok's customer id. Each by its index alone."""
    text = looked_for.text
    ways = [Q(session_id=text), Q(external_id=text, is_test=False) & ~Q(external_id="")]
    ways += [Q(phone_key=looked_for.key, is_test=False)] if looked_for.key else []
    rows = Session.objects.select_related("channel", "agent", "tier", "customer").only(*LISTED)
    found: dict[int, Session] = {}
    for way in ways:
        found |= {row.pk: row for row in rows.filter(way).order_by("-started_at", "-pk")[: SHOWN + 1]}
    return list(found.values())


def _session_address(session: Session) -> str:
    return reverse("reports:session", args=[session.pk])


def _session_group(looked_for: Wanted, sessions: Sequence[Session]) -> Group:
    lines = lines_of(sessions[:SHOWN], timezone.now())
    has_more = len(sessions) > SHOWN
    return Group(
        "Sessions", lines, has_more, "All sessions found of the last year", _sessions_of_a_year(looked_for.text)
    )


def _number_group(looked_for: Wanted) -> Group:
    """Numbers that nobody among the customers has: callers whom the policy serves or turns away."""
    keys = set(numbers_of_callers(looked_for).values_list("key", flat=True)[:MOST_MATCHES])
    keys |= numbers_of_newest(looked_for, timezone.now(), MOST_MATCHES)
    known = set(PhoneNumber.objects.filter(key__in=keys).values_list("key", flat=True))
    strangers = sorted(keys - known)
    # For whoever may not see numbers it is the one that was written.
    hits = [
        Hit(shown_number(key), _sessions_of_a_year(key if may_see_numbers() else looked_for.text))
        for key in strangers[:SHOWN]
    ]
    all_address = _sessions_of_a_year(looked_for.text)
    has_more = len(strangers) > SHOWN
    return Group(
        "Numbers of callers who are no customers",
        hits,
        has_more,
        "Sessions of all of them in the last year",
        all_address,
    )


# Tiers and agents: few rows, all of them looked at


def _tier_group(looked_for: Wanted, user: Any) -> Group:
    may_open = _may_any(user, SEE_TIERS, CHANGE_TIERS)
    if not (may_open or user.has_perm(SEE_SESSIONS)):
        return Group("", [])
    found = [tier for tier in Tier.objects.only("name", "slug", "is_active") if _has(looked_for, tier.name, tier.slug)]
    found.sort(key=lambda tier: _place(looked_for, tier.name, tier.slug))
    hits = []
    for tier in found[:SHOWN]:
        if may_open:
            address = reverse("admin:customers_tier_change", args=[tier.pk])
        else:
            address = f"{reverse('reports:customers')}?{urlencode({'tier': tier.slug})}#list"
        hits.append(Hit(tier.name, address, [tier.slug, *([] if tier.is_active else ["not offered any more"])]))
    all_address = _list("admin:customers_tier_changelist", looked_for.text) if may_open else ""
    return Group("Tiers", hits, len(found) > SHOWN, "All tiers found", all_address)


def _agent_group(looked_for: Wanted, user: Any) -> Group:
    if not (user.has_perm(SEE_AGENTS) or user.has_perm(SEE_SESSIONS)):
        return Group("", [])
    found = [agent for agent in Agent.objects.all() if _has(looked_for, agent.name, agent.livetok_id)]
    found.sort(key=lambda agent: _place(looked_for, agent.name, agent.livetok_id))
    hits = []
    for agent in found[:SHOWN]:
        if user.has_perm(SEE_SESSIONS):
            address = agent_address(agent.pk)
        else:
            address = reverse("admin:customers_agent_change", args=[quote(agent.pk)])
        hits.append(Hit(str(agent), address, [agent.livetok_id] if agent.name else []))
    all_address = _list("admin:customers_agent_changelist", looked_for.text) if user.has_perm(SEE_AGENTS) else ""
    return Group("Agents", hits, len(found) > SHOWN, "All agents found", all_address)


def _may_any(user: Any, *permissions: str) -> bool:
    return any(map(user.has_perm, permissions))


def _has(looked_for: Wanted, *values: str) -> bool:
    return bool(looked_for.words) and has_words(looked_for.words, values)


def _place(looked_for: Wanted, name: str, known_as: str) -> tuple[bool, str]:
    return folded(looked_for.text) not in (folded(name), folded(known_as)), folded(name)


def _list(name: str, text: str) -> str:
    return f"{reverse(name)}?{urlencode({'q': text})}"


def _sessions_of_a_year(text: str) -> str:
    """The search looks at all there are; the list, asked for no days, at 90."""
    first_day = timezone.localdate() - timedelta(days=MOST_DAYS - 1)
    return f"{reverse('reports:sessions')}?{urlencode({'q': text, 'first_day': first_day})}"
