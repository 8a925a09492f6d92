"""The company of the demo: its tiers, agents and customers as staff would have set them up, and who gets in touch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

from django.db import models
from django.utils.text import slugify

from customers.editing import change_reason, number_key
from customers.first_sight import make_agent, make_channel
from customers.models import Channel, Customer, LimitOverride, PhoneNumber, Tier, TierLimit
from customers.zones import company_zone, zone_named
from sessions_app.demo.names import FIRST_NAMES, LAST_NAMES, TRADES
from sessions_app.demo.rhythm import OFFICE, PRIVATE, Rhythm, dice

AGENTS = {"1": "Reception", "2": "Support", "3": "Billing", "4": "Scheduling"}
CHANNELS = ("telephony", "whatsapp", "web", "chat")


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody who gets in touch now and then: a customer, a stranger, or one who withholds the number.

    `customer_id` is what LiveTok knows a customer by who is signed in on the web; `pk` is 0 for everybody else.
    `channels` are weighed.
    """

    name: str
    numbers: tuple[str, ...]
    zone: ZoneInfo
    rhythm: Rhythm
    a_day: float
    channels: dict[str, float]
    customer_id: str = ""
    pk: int = 0
    tier: str = ""

    @property
    def is_customer(self) -> bool:
        return self.pk != 0


@dataclass(frozen=True)
class TierPlan:
    """`share` of all customers; `limits` as (metric, period, amount, further fields)."""

    slug: str
    share: float
    a_day: float
    office: float
    context: dict[str, str]
    limits: Sequence[tuple[str, str, int, dict[str, str | bool]]]
    channels: tuple[str, ...] = ()
    call_hold_minutes: int = 1
    rounding_seconds: int = Tier.Rounding.EXACT
    price: str = ""


SOFT: dict[str, str | bool] = {"hard": False}
TIERS = (
    TierPlan(
        "free",
        share=0.38,
        a_day=0.5,
        office=0.1,
        channels=("whatsapp", "web", "chat"),
        context={"greeting": "Hello", "may_book": "no"},
        limits=[
            ("messages", "day", 20, {}),
            ("call_minutes", "day", 20, {}),
            ("call_minutes", "month", 120, {}),
            ("sessions", "day", 4, {}),
            ("sessions", "week", 15, {}),
            ("concurrent_sessions", "", 1, {}),
        ],
    ),
    TierPlan(
        "standard",
        share=0.36,
        a_day=0.75,
        office=0.3,
        context={"greeting": "Good to hear from you", "may_book": "yes"},
        limits=[
            ("messages", "day", 100, {}),
            ("call_minutes", "day", 60, {}),
            ("call_minutes", "week", 150, {}),
            ("sessions", "month", 60, {}),
            ("sessions", "day", 6, SOFT),
            ("concurrent_sessions", "", 2, {}),
        ],
    ),
    TierPlan(
        "premium",
        share=0.17,
        a_day=1.2,
        office=0.5,
        rounding_seconds=Tier.Rounding.SIX_SECONDS,
        price="0.09",
        context={"greeting": "Welcome back", "may_book": "yes", "priority": "high"},
        limits=[
            ("messages", "day", 300, {}),
            ("call_minutes", "day", 120, {}),
            ("call_minutes", "day", 60, {"channel": "telephony"}),
            ("call_minutes", "week", 45, {"agent": "4"}),
            ("call_minutes", "month", 900, SOFT),
            ("concurrent_sessions", "", 3, {}),
        ],
    ),
    TierPlan(
        "business",
        share=0.09,
        a_day=3.2,
        office=0.95,
        context={"greeting": "Welcome", "may_book": "yes", "priority": "highest"},
        call_hold_minutes=2,
        rounding_seconds=Tier.Rounding.MINUTE,
        price="0.125",
        limits=[
            ("messages", "day", 2000, {}),
            ("call_minutes", "month", 1500, {}),
            ("call_minutes", "week", 300, SOFT),
            ("concurrent_sessions", "", 8, {}),
            ("concurrent_sessions", "", 5, {"channel": "telephony"}),
        ],
    ),
)

# Numbers that regulators keep for fiction, so that nobody can be called by accident, and how many each pattern has.
LARGEST_POOL = "+44 7700 900{:03d}"
LANDLINES = "+44 20 7946 0{:03d}"
STRANGERS = "+44 1632 960{:03d}"
MOBILES = {
    LARGEST_POOL: 1000,
    "+33 6 39 98 {:04d}": 10000,
    "+49 171 39200{:02d}": 100,
    "+1 212-555-01{:02d}": 100,
    "+1 415-555-01{:02d}": 100,
    "+61 2 5550 {:04d}": 10000,
}
OTHER_NUMBERS = {LANDLINES: 1000, STRANGERS: 1000}
# A blank zone is the company's.
ZONES = {
    "": LARGEST_POOL,
    "Europe/Paris": "+33 6 39 98 {:04d}",
    "Europe/Berlin": "+49 171 39200{:02d}",
    "America/New_York": "+1 212-555-01{:02d}",
    "America/Los_Angeles": "+1 415-555-01{:02d}",
    "Australia/Sydney": "+61 2 5550 {:04d}",
}
ZONE_SHARES = (64, 10, 8, 8, 6, 4)
LANGUAGES = {"Europe/Paris": "fr", "Europe/Berlin": "de"}

OVERRIDES: tuple[tuple[str, str, tuple[int | None, ...], str], ...] = (
    ("call_minutes", "day", (90, 120, None), "Asked for more while moving house"),
    ("call_minutes", "day", (5, 10), "Agreed with the customer: fewer minutes"),
    ("messages", "day", (500, None), "Spring campaign"),
    ("sessions", "day", (2, 12), "Goodwill after a complaint"),
    ("concurrent_sessions", "", (1, 4), "Shares the number with a colleague"),
)


@dataclass
class Company:
    """What was made in the database. `people` are all who get in touch, customers first."""

    tiers: dict[str, Tier]
    people: list[Person] = field(default_factory=list)

    @property
    def customers(self) -> list[Person]:
        return [person for person in self.people if person.is_customer]


def make_company(seed: int, size: int, start: datetime, until: datetime) -> Company:
    """Make tiers, agents and `size` customers as they stood at `start`, in a database without any."""
    before = start - timedelta(days=3)
    for slug in CHANNELS:
        make_channel(slug)
    for livetok_id, name in AGENTS.items():
        make_agent(livetok_id, name)
    company = Company({plan.slug: _make_tier(plan, before) for plan in TIERS})
    _numbers = _Numbers(dice(seed, "numbers"))
    rng = dice(seed, "customers")
    for index in range(size):
        plan = rng.choices(TIERS, [plan.share for plan in TIERS])[0]
        company.people.append(_make_customer(rng, index, plan, company.tiers[plan.slug], _numbers, start))
    _make_overrides(dice(seed, "overrides"), company, start, until)
    company.people.extend(_strangers(dice(seed, "strangers"), size))
    return company


def save_as_of(row: models.Model, at: datetime, why: str = "") -> None:
    """Save as if staff had done it at `at`: its history says so."""
    row._history_date = at  # type: ignore[attr-defined]
    change_reason(row, why)
    row.save()


def _make_tier(plan: TierPlan, at: datetime) -> Tier:
    tier = Tier.objects.filter(slug=plan.slug).first() or Tier(slug=plan.slug, name=plan.slug.title())
    tier.context = plan.context
    tier.call_hold_minutes = plan.call_hold_minutes
    tier.rounding_seconds = plan.rounding_seconds
    tier.price_per_minute_over = Decimal(plan.price) if plan.price else None
    tier.currency = "EUR" if plan.price else ""
    save_as_of(tier, at)
    tier.allowed_channels.set(Channel.objects.filter(pk__in=plan.channels))
    for metric, period, amount, scope in plan.limits:
        save_as_of(
            TierLimit(
                tier=tier,
                metric=metric,
                period=period,
                amount=amount,
                hard=bool(scope.get("hard", True)),
                channel_id=scope.get("channel"),
                agent_id=scope.get("agent"),
            ),
            at,
        )
    return tier


class _Numbers:
    """Fictional numbers, each given out once."""

    def __init__(self, rng: Random) -> None:
        self._left = {}
        for pattern, count in {**MOBILES, **OTHER_NUMBERS}.items():
            self._left[pattern] = [pattern.format(index) for index in rng.sample(range(count), count)]

    def draw(self, pattern: str) -> str:
        """A number of the pattern; one of the largest pool where the pattern's is used up."""
        return (self._left[pattern] or self._left[LARGEST_POOL]).pop()


def _make_customer(rng: Random, index: int, plan: TierPlan, tier: Tier, numbers: _Numbers, start: datetime) -> Person:
    is_company = rng.random() < plan.office
    name, email = _company_name(rng, index) if is_company else _private_name(rng)
    zone_name, pattern = rng.choices(list(ZONES.items()), ZONE_SHARES)[0]
    customer = Customer(
        name=name,
        email=email,
        external_id=f"crm-{1001 + index}",
        tier=tier,
        time_zone=zone_name,
        context=_context(rng, zone_name),
        source=Customer.Source.IMPORT,
    )
    made_at = start - timedelta(days=2, minutes=rng.randrange(600))
    save_as_of(customer, made_at, "import")
    Customer.objects.filter(pk=customer.pk).update(created_at=made_at)
    texts = [numbers.draw(pattern)]
    if is_company or rng.random() < 0.25:
        texts.append(numbers.draw(LANDLINES))
    if is_company and rng.random() < 0.5:
        texts.append(f"sip:reception@{slugify(name)}.example")
    for text in texts:
        save_as_of(PhoneNumber(customer=customer, number=text, key=number_key(text)), made_at, "import")
    if is_company:
        channels = {"telephony": 5.0, "whatsapp": 3.0, "web": 1.5, "chat": 1.0}
    else:
        channels = _private_channels(rng, plan.channels or CHANNELS)
    return Person(
        name=name,
        numbers=tuple(texts),
        zone=zone_named(zone_name),
        rhythm=OFFICE if is_company else PRIVATE,
        a_day=plan.a_day * rng.lognormvariate(-0.32, 0.8),  # a mean of 1
        channels=channels,
        customer_id=customer.external_id or "",
        pk=customer.pk,
        tier=plan.slug,
    )


def _private_channels(rng: Random, offered: Sequence[str]) -> dict[str, float]:
    """Most people have a favourite, and now and then try what their tier does not offer."""
    favourite = rng.choice(offered)
    return {channel: 6.0 if channel == favourite else 1.0 if channel in offered else 0.3 for channel in CHANNELS}


def _private_name(rng: Random) -> tuple[str, str]:
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    return f"{first} {last}", f"{first}.{last}@example.com".lower()


def _company_name(rng: Random, index: int) -> tuple[str, str]:
    name = f"{rng.choice(LAST_NAMES)} {rng.choice(TRADES)}"
    return name, f"office{index}@{slugify(name)}.example"


def _context(rng: Random, zone_name: str) -> dict[str, str]:
    context = {"language": LANGUAGES[zone_name]} if zone_name in LANGUAGES else {}
    if rng.random() < 0.15:
        context["account_manager"] = rng.choice(FIRST_NAMES)
    return context


def _make_overrides(rng: Random, company: Company, start: datetime, until: datetime) -> None:
    """For one customer in ten: most of them for a while, some of them over already, some about to end."""
    for person in company.customers:
        if rng.random() >= 0.1:
            continue
        metric, period, amounts, note = rng.choice(OVERRIDES)
        given_at = start + (until - start) * rng.uniform(0.05, 0.95)
        lasts = rng.choice([timedelta(days=7), timedelta(days=14), timedelta(days=45), None])
        override = LimitOverride(
            customer_id=person.pk,
            metric=metric,
            period=period,
            amount=rng.choice(amounts),
            valid_from=given_at,
            valid_until=given_at + lasts if lasts else None,
            note=note,
        )
        save_as_of(override, given_at)
        LimitOverride.objects.filter(pk=override.pk).update(created_at=given_at)


def _strangers(rng: Random, size: int) -> Iterator[Person]:
    """People whom nobody knows yet, and those who withhold their number."""
    own_zone = company_zone()
    numbers = _Numbers(rng)
    for _ in range(min(size // 2, OTHER_NUMBERS[STRANGERS])):
        channels = {"telephony": 3.0, "whatsapp": 2.0, "chat": 0.3}
        yield Person("", (numbers.draw(STRANGERS),), own_zone, PRIVATE, rng.choice([0.01, 0.02, 0.06]), channels)
    withheld = max(0.3, size * 0.02)
    yield Person("", (), own_zone, PRIVATE, withheld / 2, {"web": 1.0, "chat": 0.6})
    yield Person("", ("anonymous",), own_zone, PRIVATE, withheld / 2, {"telephony": 1.0})
