"""What happens to the demo's company besides its traffic: what staff decide, and the days on which something breaks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from customers.models import Customer, Policy
from customers.zones import company_zone
from sessions_app.demo.people import Company, save_as_of

Doing = Callable[[datetime], None]
NEXT_TIER = {"free": "standard", "standard": "premium", "premium": "business"}


@dataclass(frozen=True)
class Window:
    """A stretch of time in which something is wrong, by our clock."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True)
class Story:
    """`doings` are what staff do and when. In `away` nothing reaches us, in `lossy` our answers do not get back,
    in `slow` ends are held up for hours, and in `busy` a campaign runs."""

    doings: tuple[tuple[datetime, Doing], ...]
    away: tuple[Window, ...]
    lossy: Window
    slow: Window
    busy: Window


def the_story(rng: Random, company: Company, start: datetime, until: datetime) -> Story:
    at = partial(_midday, start, until)
    doings = [*_policy_doings(company, at), *_customer_doings(rng, company, start, until)]
    return Story(
        doings=tuple((max(start, moment), doing) for moment, doing in doings),
        away=tuple(_window(at(share), minutes) for share, minutes in ((0.17, 12), (0.47, 35), (0.81, 6))),
        lossy=_window(at(0.31), 50),
        slow=_window(at(0.63), 120),
        busy=_window(at(0.55), 3 * 24 * 60),
    )


def _midday(start: datetime, until: datetime, share: float) -> datetime:
    """11:00 on the working day that holds this share of the time; at noon trouble is noticed."""
    moment = start + (until - start) * share
    midday = moment.astimezone(company_zone()).replace(hour=11, minute=0, second=0, microsecond=0)
    while midday.weekday() >= 5:
        midday += timedelta(days=1)
    return midday if start <= midday < until else moment


def _window(start: datetime, minutes: float) -> Window:
    return Window(start, start + timedelta(minutes=minutes))


def _policy_doings(company: Company, at: Callable[[float], datetime]) -> Iterator[tuple[datetime, Doing]]:
    """A pilot for known customers first, then open to all; and the emergency switch, twice."""
    free = company.tiers["free"]
    yield (
        at(0),
        partial(
            _set_policy,
            why="pilot: customers only",
            unknown_callers="deny",
            unknown_callers_tier=None,
            callers_without_number="deny",
            callers_without_number_tier=None,
        ),
    )
    yield (
        at(0.12),
        partial(_set_policy, why="open to all", unknown_callers="serve", unknown_callers_tier=free),
    )
    yield (
        at(0.25),
        partial(
            _set_policy,
            why="withheld numbers too",
            callers_without_number="serve",
            callers_without_number_tier=free,
        ),
    )
    for share, mode, minutes, why in (
        (0.4, "deny_all", 50, "the agents gave wrong prices"),
        (0.72, "allow_all", 180, "customers were locked out by a wrong import"),
    ):
        begins = at(share)
        ends = begins + timedelta(minutes=minutes)
        yield begins, partial(_set_policy, why=why, emergency=mode, emergency_until=ends)
        yield ends, partial(_set_policy, why="solved", emergency="normal", emergency_until=None)


def _customer_doings(
    rng: Random, company: Company, start: datetime, until: datetime
) -> Iterator[tuple[datetime, Doing]]:
    """Some customers are paused, blocked or moved to a higher tier, some contracts end or have not begun."""

    def some_time(earliest: float, latest: float) -> datetime:
        moment = start + (until - start) * rng.uniform(earliest, latest)
        return moment.replace(microsecond=0)

    for person in company.customers:
        change = partial(_set_customer, person.pk)
        fate = rng.random()
        if fate < 0.03:
            paused_at = some_time(0.1, 0.8)
            yield paused_at, partial(change, why="invoice unpaid", status="paused")
            if rng.random() < 0.5:
                resumed_at = paused_at + timedelta(days=rng.uniform(2, 12))
                yield resumed_at, partial(change, why="paid", status="active")
        elif fate < 0.045:
            yield some_time(0.1, 0.9), partial(change, why="abuse", status="blocked")
        elif fate < 0.075:
            yield start, partial(change, why="fixed term", valid_until=some_time(0.3, 0.95))
        elif fate < 0.095:
            yield start, partial(change, why="contract signed", valid_from=some_time(0.1, 0.6))
        elif fate < 0.145 and person.tier in NEXT_TIER:
            tier = company.tiers[NEXT_TIER[person.tier]]
            yield some_time(0.2, 0.9), partial(change, why="upgrade", tier=tier)


def _set_policy(at: datetime, *, why: str, **values: Any) -> None:
    _set(Policy.objects.get(), at, why, values)


def _set_customer(pk: int, at: datetime, *, why: str, **values: Any) -> None:
    _set(Customer.objects.get(pk=pk), at, why, values)


def _set(row: Policy | Customer, at: datetime, why: str, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    save_as_of(row, at, why)
