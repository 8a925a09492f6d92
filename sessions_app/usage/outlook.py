"""How a session of a customer would be decided that began now: on each channel and with each agent that matters.

By the decision's own facts and rules, so equal to what the preview says of a begin; what others use is read at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import QuerySet

from customers.access import Access
from customers.defaults import the_policy
from customers.limits import Limit
from customers.models import Channel, Customer, Policy
from sessions_app.decision.judgement import facts_of
from sessions_app.decision.rules import CallerKind, Decision, Reason, decide
from sessions_app.usage.standing import Standing, with_limits


@dataclass(frozen=True)
class Outlook:
    """What would be decided on these channels, by their words; none: on all. An `agent` of None: with all others."""

    decision: Decision
    channels: tuple[str, ...] = ()
    agent: str | None = None


@dataclass(frozen=True)
class Setting:
    """What outlooks of all customers share: read once for any number of them."""

    policy: Policy
    channels: tuple[Channel, ...]
    now: datetime


def setting_at(now: datetime) -> Setting:
    return Setting(the_policy(), tuple(Channel.objects.order_by("slug")), now)


def ready_for_outlook(customers: QuerySet[Customer], now: datetime) -> QuerySet[Customer]:
    """Customers ready for `standings`, and then for `outlooks_of`."""
    return with_limits(customers, now).prefetch_related("tier__allowed_channels", "numbers")


def is_found_by_calls(customer: Customer) -> bool:
    """Whether there is anything that LiveTok could name this customer by."""
    return bool(customer.external_id or customer.numbers.all())


def outlooks_of(standing: Standing, setting: Setting) -> list[Outlook]:
    """One, of all channels, where nothing differs. Denials first; what the tier does not include, and agents, last."""
    judged = _Judged(standing, setting)
    by_verdict: dict[Verdict, list[str]] = defaultdict(list)
    found: dict[Verdict, Decision] = {}
    for slug, decision in judged.on_each_channel():
        by_verdict[_verdict(decision)] += [slug] if slug else []
        found.setdefault(_verdict(decision), decision)
    outlooks = [
        Outlook(found[verdict], tuple(slugs) if len(by_verdict) > 1 else ()) for verdict, slugs in by_verdict.items()
    ]
    outlooks.sort(key=_place)
    return outlooks + judged.with_agents()


def _place(outlook: Outlook) -> tuple[bool, bool, int]:
    decision = outlook.decision
    return decision.reason is Reason.CHANNEL_NOT_ALLOWED, decision.allowed, -len(outlook.channels)


Verdict = tuple[Reason, Limit | None, tuple[int, ...]]


def _verdict(decision: Decision) -> Verdict:
    """What makes two decisions the same to staff."""
    drawn_on = tuple(sorted(decision.draws_on.values()))
    return decision.reason, decision.decisive.limit if decision.decisive else None, drawn_on


class _Judged:
    """One customer's decisions. Channels that no rule tells apart are judged once."""

    def __init__(self, standing: Standing, setting: Setting) -> None:
        self.standing = standing
        self.setting = setting
        tier = standing.customer.tier
        allowed = frozenset(channel.pk for channel in tier.allowed_channels.all())
        self.access = Access(setting.policy, standing.customer, tier, standing.limits, allowed)
        self.named = {limit.channel for limit in standing.limits}
        self.alike: dict[tuple[bool, bool, str | None, str | None], Decision] = {}

    def on_each_channel(self) -> Iterator[tuple[str | None, Decision]]:
        """A channel of None where LiveTok has named none so far."""
        if not self.setting.channels:
            yield None, self.decide(None, None)
        for channel in self.setting.channels:
            yield channel.pk, self.decide(channel, None)

    def with_agents(self) -> list[Outlook]:
        """Where a limit of an agent's decides otherwise than without it."""
        found: dict[tuple[str, Verdict], Outlook] = {}
        for agent in sorted({limit.agent for limit in self.standing.limits if limit.agent is not None}):
            differing = [
                (channel.pk if channel else None, decision)
                for channel in self.setting.channels or (None,)
                if _verdict(decision := self.decide(channel, agent)) != _verdict(self.decide(channel, None))
            ]
            for slug, decision in differing:
                key = agent, _verdict(decision)
                before = found.setdefault(key, Outlook(decision, agent=agent))
                found[key] = replace(before, channels=(*before.channels, *([slug] if slug else [])))
        most = len(self.setting.channels)
        return [replace(one, channels=() if len(one.channels) == most else one.channels) for one in found.values()]

    def decide(self, channel: Channel | None, agent: str | None) -> Decision:
        slug = channel.pk if channel else None
        counts = channel.counts_toward_call_minutes if channel else True
        is_allowed = not self.access.allowed_channels or slug in self.access.allowed_channels
        key = is_allowed, counts, slug if slug in self.named else None, agent
        if key not in self.alike:
            facts = facts_of(
                self.access,
                self.standing.usage,
                caller=CallerKind.CUSTOMER,
                channel=slug,
                agent=agent,
                counts_toward_call_minutes=counts,
                at=self.setting.now,
                our_now=self.setting.now,
            )
            self.alike[key] = decide(facts)
        return self.alike[key]


def labels_of(slugs: Sequence[str], channels: Iterable[Channel]) -> list[str]:
    """What pages call these channels."""
    by_slug = {channel.pk: str(channel) for channel in channels}
    return [by_slug.get(slug, slug) for slug in slugs]
