"""Scheduled changes: what holds at a moment, told alike by rows and by SQL, and how it is written once it has come."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.access import access_of, find_customer
from customers.defaults import make_defaults
from customers.editing import claim_number
from customers.history import Part, history_of, moment_words
from customers.models import Customer, CustomerChange, Tier, TierChange, TierChangeLimit, TierLimit
from customers.past_limits import limits_at, monthly_call_minutes
from customers.settling import settle_due
from sessions_app.recording.reading import read_begin
from tests.api import Api
from tests.builders import (
    LiveTok,
    assert_usage_is_sound,
    limit,
    make_customer,
    make_tier,
    moment,
    set_policy,
    the_session,
)
from tests.test_ordinary import event_of

pytestmark = pytest.mark.django_db
NOW = moment("2024-03-15T10:30:00+00:00")


@pytest.fixture
def api(db: None) -> Api:
    return Api("manage")


def tier_change(tier: Tier, starts_at, *limits, before=(), settled: bool = False, **fields) -> TierChange:
    change = TierChange.objects.create(
        tier=tier, starts_at=starts_at, in_force_at=starts_at if settled else None, **fields
    )
    for rows, was in ((limits, False), (before, True)):
        for row in rows:
            TierChangeLimit.objects.create(change=change, before=was, **row)
    return change


def assert_reading_equals_the_orms(number: str | None = "+1234567890") -> None:
    reading = read_begin(event_of(sessionId="new", phoneNumber=number))
    assert reading is not None
    customer = find_customer(number or "", "")
    access = access_of(customer, is_named=number is not None, now=NOW)
    assert (reading.access.tier, reading.access.limits) == (access.tier, access.limits)
    assert reading.access.allowed_channels == access.allowed_channels
    assert reading.access.tier is None or reading.access.tier.call_hold_minutes == access.tier.call_hold_minutes


# In hours from now; 0 is the moment itself, which is inside.
CHANGES = st.dictionaries(st.integers(-3, 3), st.booleans(), max_size=4)
CALLERS = {"known": "+1234567890", "unknown": "+1999999999", "unnamed": None}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(of_tier=CHANGES, of_other=CHANGES, of_customer=CHANGES, caller=st.sampled_from(list(CALLERS)))
def test_the_reading_equals_the_orms_with_any_changes(db, of_tier, of_other, of_customer, caller):
    make_defaults()
    TierChange.objects.all().delete()
    CustomerChange.objects.all().delete()
    first = Tier.objects.filter(slug="first").first() or make_tier("first", limit("sessions", 1), limit("messages", 1))
    other = Tier.objects.filter(slug="other").first() or make_tier("other", limit("sessions", 2), call_hold_minutes=3)
    customer = find_customer("+1234567890", "") or make_customer(first)
    set_policy(unknown_callers_tier=first, callers_without_number_tier=first)
    for tier, changes in ((first, of_tier), (other, of_other)):
        tier_change(tier, None, limit("sessions", 99))
        for hours, settled in changes.items():
            before = [limit("sessions", 50 + hours)] if settled else []
            tier_change(
                tier,
                NOW + timedelta(hours=hours),
                limit("sessions", 10 + hours),
                limit("call_minutes", 10 + hours, channel_id="web", hard=False),
                before=before,
                settled=settled,
            )
    for hours, settled in of_customer.items():
        CustomerChange.objects.create(
            customer=customer,
            tier=other,
            before=first if settled else None,
            starts_at=NOW + timedelta(hours=hours),
            in_force_at=NOW if settled else None,
        )
    assert_reading_equals_the_orms(CALLERS[caller])


@pytest.mark.parametrize(("at", "amount"), [("23:59:59.999999", 20), ("00:00:00", 25)])
@pytest.mark.parametrize("settled", [False, True])
def test_a_change_holds_from_its_moment_on_whether_or_not_it_was_settled(livetok: LiveTok, at, amount, settled):
    """LiveTok's moment decides, also of an event that comes a day late."""
    tier = make_tier("free", limit("call_minutes", 25 if settled else 20))
    customer = make_customer(tier)
    starts_at = moment("2023-12-01T00:00:00+00:00")
    tier_change(
        tier,
        starts_at,
        limit("call_minutes", 25),
        before=[limit("call_minutes", 20)] if settled else (),
        settled=settled,
    )
    now = moment(f"2023-{'12-01' if amount == 25 else '11-30'}T{at}+00:00")

    (only,) = access_of(customer, is_named=True, now=now).limits
    reading = read_begin(event_of(timestamp=now.isoformat()))

    assert only.amount == amount
    assert reading is not None
    assert reading.access.limits == (only,)


def test_what_a_change_lacks_is_unlimited(livetok: LiveTok):
    tier = make_tier("free", limit("sessions", 0))
    make_customer(tier)
    assert livetok.begin(sessionId="before")["allowed"] is False
    tier_change(tier, NOW - timedelta(hours=1))
    assert livetok.begin(sessionId="after")["allowed"] is True


def test_a_customer_is_served_on_the_tier_that_was_scheduled(livetok: LiveTok):
    free, premium = make_tier("free", limit("sessions", 0)), make_tier("premium", is_active=False)
    customer = make_customer(free)
    CustomerChange.objects.create(customer=customer, tier=premium, starts_at=NOW)
    answer = livetok.begin(sessionId="after", timestamp=NOW.isoformat())
    assert (answer["allowed"], answer["context"]["customer_tier"]) == (True, "premium")
    before = (NOW - timedelta(microseconds=1)).isoformat()
    assert livetok.begin(sessionId="before", timestamp=before)["allowed"] is False


# Settling


def come(tier: Tier, *limits, **fields) -> TierChange:
    """A change of the tier that came an hour ago, and is not settled."""
    return tier_change(tier, timezone.now().replace(microsecond=0) - timedelta(hours=1), *limits, **fields)


def make_older() -> None:
    """As if all that is stored so far had been stored long before."""
    for records in (TierLimit.history, Customer.history, Tier.history):
        records.update(history_date=timezone.now() - timedelta(days=90))


def limits_of(tier: Tier) -> list[str]:
    return [str(row) for row in TierLimit.objects.filter(tier=tier)]


def never() -> bool:
    return False


def test_what_has_come_is_written_into_the_tier_with_one_line_of_history(db):
    ana = User.objects.create(username="ana")
    tier = make_tier("free", limit("call_minutes", 20), limit("sessions", 5), limit("messages", 7))
    change = come(tier, limit("call_minutes", 25), limit("messages", 7), limit("concurrent_sessions", 2), author=ana)
    later = tier_change(tier, timezone.now() + timedelta(hours=1), limit("sessions", 1))
    draft = tier_change(tier, None, limit("sessions", 2))
    make_older()

    assert (settle_due(never), settle_due(never)) == (1, 0)

    assert limits_of(tier) == ["25 call minutes a day", "2 concurrent sessions", "7 messages a day"]
    assert {str(row) for row in change.limits.filter(before=True)} == {
        "20 call minutes a day",
        "5 sessions a day",
        "7 messages a day",
    }
    (entry,) = [entry for entry in history_of(Tier, tier.pk, [Part(TierLimit, "tier")]) if "Scheduled" in entry.why]
    assert (entry.at, entry.who, entry.user_id) == (change.starts_at, "ana", ana.pk)
    assert entry.why == f"Scheduled for {moment_words(change.starts_at)}."
    assert sorted(row.action for row in entry.rows) == ["added", "changed", "removed"]
    for other in (later, draft):
        other.refresh_from_db()
        assert other.in_force_at is None


def test_several_that_have_come_are_written_in_their_order(db):
    tier = make_tier("free", limit("sessions", 1))
    now = timezone.now()
    for hours in (1, 3, 2):
        tier_change(tier, now - timedelta(hours=hours), limit("sessions", 10 * hours))

    assert settle_due(never) == 3

    assert limits_of(tier) == ["10 sessions a day"]
    held = [
        access_of(make_customer(tier, f"+1555000{hours}"), is_named=True, now=now - timedelta(hours=hours, minutes=1))
        for hours in (0, 1, 2, 3)
    ]
    assert [access.limits[0].amount for access in held] == [10, 20, 30, 1]


def test_what_has_come_is_written_into_the_customer_with_one_line_of_history(db):
    free, premium = make_tier("free"), make_tier("premium")
    customer = make_customer(free)
    starts_at = timezone.now() - timedelta(hours=1)
    change = CustomerChange.objects.create(customer=customer, tier=premium, starts_at=starts_at, note="Paid")

    make_older()

    assert (settle_due(never), settle_due(never)) == (1, 0)

    customer.refresh_from_db()
    change.refresh_from_db()
    assert (customer.tier, change.before, change.in_force_at is not None) == (premium, free, True)
    newest = customer.history.latest()
    assert (newest.history_date, newest.tier_id) == (starts_at, premium.pk)
    assert newest.history_change_reason == f"Scheduled for {moment_words(starts_at)}: Paid"


def test_statements_go_by_the_moment_not_by_when_it_was_written(db):
    tier = make_tier("free", limit("call_minutes", 20, "month"))
    customer = make_customer(tier)
    make_older()
    change = come(tier, limit("call_minutes", 25, "month"))
    settle_due(never)

    moments = (change.starts_at - timedelta(microseconds=1), change.starts_at)
    assert [monthly_call_minutes([customer], {customer.pk: at})[customer.pk].minutes for at in moments] == [20, 25]
    assert [limits_at(customer, at)[0].amount for at in moments] == [20, 25]


def test_an_edit_after_the_moment_is_not_overwritten(api):
    tier = make_tier("free", limit("call_minutes", 20))
    change = come(tier, limit("call_minutes", 25), limit("sessions", 9))

    api.put("/api/v1/tiers/free/", {"limits": [{"metric": "call_minutes", "period": "day", "amount": 30}]})
    settle_due(never)

    assert limits_of(tier) == ["30 call minutes a day"]
    assert {str(row) for row in change.limits.filter(before=True)} == {"20 call minutes a day"}


@pytest.mark.parametrize("edit", ["one", "bulk"])
def test_an_edit_of_a_customer_after_the_moment_is_not_overwritten(api, edit):
    free, premium, third = make_tier("free"), make_tier("premium"), make_tier("third")
    customer = make_customer(free, external_id="ada")
    CustomerChange.objects.create(customer=customer, tier=premium, starts_at=timezone.now() - timedelta(hours=1))

    make_older()
    if edit == "one":
        api.put("/api/v1/customers/by-external-id/ada/", {"tier": "third"})
    else:
        api.post("/api/v1/customers/bulk/", [{"external_id": "ada", "tier": "third"}])
    settle_due(never)

    customer.refresh_from_db()
    assert customer.tier == third
    assert [record.tier_id for record in customer.history.order_by("history_date")][-2:] == [premium.pk, third.pk]


def test_changes_of_a_first_contact_that_gives_way_go(db):
    tier = make_tier("free")
    first = make_customer(tier, "+15550001", source="first_contact")
    kept = make_customer(tier, "+15550002")
    for customer in (first, kept):
        CustomerChange.objects.create(customer=customer, tier=tier, starts_at=timezone.now() + timedelta(days=1))
    claim_number(kept, "+15550001")
    assert [change.customer for change in CustomerChange.objects.all()] == [kept]


def test_a_session_of_which_only_the_end_came_has_the_tier_that_held_when_it_began(livetok: LiveTok):
    premium = make_tier("premium")
    customer = make_customer(make_tier("free"))
    # While both go on.
    CustomerChange.objects.create(customer=customer, tier=premium, starts_at=moment("2024-03-15T09:30:00Z"))
    for session_id in ("unsettled", "settled"):
        for ended_at, slug in (("10:29:59", "free"), ("10:30:00", "premium")):
            livetok.end(sessionId=f"{session_id} {slug}", timestamp=f"2024-03-15T{ended_at}Z", duration=3600)
            assert the_session(f"{session_id} {slug}").tier.slug == slug
        with time_machine.travel(NOW):
            settle_due(never)
    assert_usage_is_sound()
