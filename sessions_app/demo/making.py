"""One demo, from an empty database to its last event."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min

from customers.defaults import STANDARD_TIER, make_defaults
from customers.models import Customer, Policy, Tier, TierLimit
from customers.search.keeping import keep_search_keys
from sessions_app.demo.people import make_company, save_as_of
from sessions_app.demo.play import Player
from sessions_app.demo.rhythm import dice
from sessions_app.demo.story import the_story
from sessions_app.models import Session

MADE_BY = "manage.py demo"


@dataclass(frozen=True)
class Plan:
    """What decides a whole demo: the same plan gives the same sessions."""

    seed: int
    days: int
    customers: int
    until: datetime

    @property
    def start(self) -> datetime:
        return self.until - timedelta(days=self.days)

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.days} days until {self.until:%Y-%m-%d %H:%M}, {self.customers} customers"


@transaction.atomic
def make_demo(plan: Plan, progress: Callable[[float, int], None]) -> None:
    """All or nothing: interrupted, it leaves the database as it was. Needs one that `holds_foreign_data` says is free.

    One transaction also makes it fast, since not every event has to reach the disk by itself.
    """
    make_defaults()
    for kept in (Policy.history, Tier.history):
        kept.update(history_date=plan.start - timedelta(days=4))  # first-run set-up was before all of this
    company = make_company(plan.seed, plan.customers, plan.start, plan.until)
    story = the_story(dice(plan.seed, "story"), company, plan.start, plan.until)
    Player(plan.seed, company, story, plan.start, plan.until).play(progress)
    keep_search_keys(Customer.objects.values_list("pk", flat=True))
    _date_first_contacts()
    save_as_of(Policy.objects.get(), plan.until, f"{MADE_BY}: {plan}")


def is_made() -> bool:
    """Whether this database holds a demo: the policy's history says so, whatever was added since."""
    return bool(Policy.history.filter(history_change_reason__startswith=MADE_BY).exists())


def foreign_data() -> str:
    """What this database holds beyond first-run set-up, in words; blank where there is nothing."""
    found = {
        "sessions": Session.objects.count(),
        "customers": Customer.objects.count(),
        "tiers of its own": Tier.objects.exclude(slug=STANDARD_TIER).count(),
        "limits": TierLimit.objects.count(),
    }
    return ", ".join(f"{number} {name}" for name, number in found.items() if number)


def _date_first_contacts() -> None:
    """Customers made at first contact were made when their first event came, not just now."""
    met = Session.objects.filter(customer__source=Customer.Source.FIRST_CONTACT).values("customer")
    for row in met.annotate(begin=Min("begin_received_at"), end=Min("end_received_at")).order_by():
        at = min(moment for moment in (row["begin"], row["end"]) if moment is not None)
        Customer.objects.filter(pk=row["customer"]).update(created_at=at)
        Customer.history.filter(id=row["customer"]).update(history_date=at)
