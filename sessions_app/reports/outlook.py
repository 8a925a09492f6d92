"""What would be decided of a customer's session now, in words: the same on report pages and in the admin."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from customers.access import zone_of
from customers.models import Customer
from customers.zones import company_zone
from sessions_app.decision.rules import Reason, whole_check
from sessions_app.usage.outlook import (
    Outlook,
    Setting,
    is_found_by_calls,
    labels_of,
    outlooks_of,
    ready_for_outlook,
    setting_at,
)
from sessions_app.usage.standing import LimitUse, Standing, standings
from sessions_app.wording import DENIES_NOW, drawn_words, limit_denies, limit_left, listed, moment_in

NOT_FOUND = (
    "LiveTok cannot name this customer: there is neither a number nor an external id. Calls are met as unknown ones."
)


@dataclass(frozen=True)
class OutlookLine:
    """`outcome` such as "Would be let in", `where` blank where it holds everywhere, `why` blank where all is well."""

    outlook: Outlook
    outcome: str
    where: str
    why: str

    @property
    def is_allowed(self) -> bool:
        return self.outlook.decision.allowed

    @property
    def kind(self) -> str:
        """How its state looks; what the tier never includes is no news."""
        if self.outlook.decision.reason is Reason.CHANNEL_NOT_ALLOWED:
            return ""
        return "open" if self.is_allowed else "denied"

    def __str__(self) -> str:
        begin = f"{self.outcome} {self.where}".strip()
        return f"{begin}: {self.why}" if self.why else begin


def outlook_lines(standing: Standing, setting: Setting) -> list[OutlookLine]:
    """What holds now, denials first."""
    return [_line(outlook, standing, setting) for outlook in outlooks_of(standing, setting)]


def outlooks_in_words(customer_ids: Collection[int], now: datetime) -> dict[int, list[str]]:
    """By customer, for any number of them in a fixed number of statements. CUSTOMER_OUTLOOK names this."""
    customers = list(ready_for_outlook(Customer.objects.filter(pk__in=customer_ids), now))
    setting = setting_at(now)
    return {
        pk: [
            *map(str, outlook_lines(standing, setting)),
            *([] if is_found_by_calls(standing.customer) else [NOT_FOUND]),
        ]
        for pk, standing in standings(customers, now).items()
    }


def _line(outlook: Outlook, standing: Standing, setting: Setting) -> OutlookLine:
    on = [f"on {listed(labels_of(outlook.channels, setting.channels))}"] if outlook.channels else []
    names = {limit.agent: limit.agent_words for limit in standing.limits}
    with_agent = [f"with agent {names.get(outlook.agent, outlook.agent)}"] if outlook.agent is not None else []
    outcome = "Would be let in" if outlook.decision.allowed else "Would be denied"
    return OutlookLine(outlook, outcome, " ".join(on + with_agent), _why(outlook, standing, setting))


def _why(outlook: Outlook, standing: Standing, setting: Setting) -> str:
    decision, customer = outlook.decision, standing.customer
    if decision.reason is Reason.EMERGENCY_ALLOW:
        return "the emergency switch lets everybody in but blocked customers"
    check = decision.decisive
    if decision.draws_on:
        return drawn_words(decision)
    if check is None:
        tightest = _tightest(outlook, standing, setting)
        return limit_left(tightest.limit, tightest.left or 0.0, _resets_at(tightest, standing)) if tightest else ""
    if check.limit is not None:
        denying = whole_check(check.as_json()) | {"agent": check.limit.agent_words or None}
        return limit_denies(denying, _resets_at(LimitUse(check.limit, check.used), standing))
    words = DENIES_NOW[decision.reason]
    if decision.reason is Reason.CUSTOMER_NOT_YET_VALID and customer.valid_from:
        return f"{words}; it is from {moment_in(zone_of(customer), customer.valid_from, company_zone())} on"
    if decision.reason is Reason.CUSTOMER_EXPIRED and customer.valid_until:
        return f"{words}, since {moment_in(zone_of(customer), customer.valid_until, company_zone())}"
    return words


def _tightest(outlook: Outlook, standing: Standing, setting: Setting) -> LimitUse | None:
    """Of the hard limits of call minutes that apply where this holds, the one with the least left."""
    channels = [
        channel.pk
        for channel in setting.channels
        if channel.counts_toward_call_minutes and (not outlook.channels or channel.pk in outlook.channels)
    ]
    if not setting.channels:
        return standing.tightest_minutes(None, outlook.agent)
    found = [use for pk in channels if (use := standing.tightest_minutes(pk, outlook.agent)) is not None]
    return min(found, key=lambda use: use.left or 0.0, default=None)


def _resets_at(use: LimitUse, standing: Standing) -> str:
    span = standing.spans.get(use.limit.period)
    return moment_in(standing.zone, span.resets_at, company_zone()) if span else ""
