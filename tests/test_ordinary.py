"""The hand-written reading equals the ORM's, and the ordinary way leaves the rows that the careful way would."""

import json
import threading

import pytest
from django.db import connection, transaction

from customers.access import access_of, find_customer
from customers.editing import claim_number
from customers.models import Channel
from sessions_app.livetok.payloads import read_event
from sessions_app.models import CustomerTurn, DailyUsage, Session, WebhookEvent
from sessions_app.recording import begin, end, reading
from sessions_app.recording.reading import read_begin
from sessions_app.usage.recount import differences
from sessions_app.usage.used import usage_at
from tests.builders import (
    LiveTok,
    assert_usage_is_sound,
    begin_body,
    limit,
    make_channel,
    make_customer,
    make_override,
    make_tier,
    make_top_up,
    moment,
    set_policy,
)

NOW = moment("2024-03-15T10:30:00+00:00")


def rich_tier(slug: str = "premium"):
    tier = make_tier(
        slug,
        limit("messages", 100),
        limit("call_minutes", 60),
        limit("call_minutes", 600, "month", channel="telephony"),
        limit("sessions", 50, "week", agent="7", hard=False),
        limit("concurrent_sessions", 3),
        context={"greeting": "Grüß Gott"},
        call_hold_minutes=2,
    )
    tier.allowed_channels.set([make_channel("whatsapp"), make_channel("web")])
    return tier


def event_of(**changes):
    return read_event(json.dumps(begin_body(**changes)).encode(), route="", received_at=NOW)


def draw_on_top_ups(customer, *session_ids: str) -> None:
    """As if these sessions had been let in by top-ups: a session and its minutes, each of one of them."""
    sessions = Session.objects.filter(session_id__in=session_ids)
    for session in sessions:
        session.sessions_top_up_id = customer.top_ups.get(metric="sessions").pk
        session.minutes_top_up_id = customer.top_ups.filter(metric="call_minutes").order_by("pk")[session.pk % 3].pk
        session.save()
    list(differences(repair=True))


@pytest.mark.parametrize("time_zone", ["", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_the_reading_equals_the_orms(livetok: LiveTok, time_zone):
    customer = make_customer(
        rich_tier(), time_zone=time_zone, context={"vip": True}, valid_until=moment("2030-01-01T00:00:00+00:00")
    )
    make_override(customer, limit("call_minutes", 90), valid_until=moment("2024-03-15T10:30:00+00:00"))
    make_override(customer, limit("call_minutes", 120), valid_from=moment("2024-03-15T10:30:00+00:00"))
    make_override(customer, limit("concurrent_sessions", None))
    for amount, until in ((9, None), (1, None), (5, moment("2024-04-01T00:00:00+00:00")), (5, NOW)):
        make_top_up(customer, "call_minutes", amount, valid_until=until)
    make_top_up(customer, "sessions", 30, created_at=moment("2024-03-14T23:30:00Z"))
    for day in (1, 4, 14, 15, 16, 31):
        livetok.begin(sessionId=f"ended {day}", timestamp=f"2024-03-{day:02}T09:59:00Z", agentId=day)
        livetok.end(sessionId=f"ended {day}", timestamp=f"2024-03-{day:02}T10:00:00Z", duration=61)
    for number, kind in enumerate(["web", "whatsapp", "web"]):
        livetok.begin(sessionId=f"open {number}", kind=kind, agentId=7, timestamp=f"2024-03-15T1{number}:00:00Z")
    draw_on_top_ups(customer, "ended 15", "ended 14", "open 1", "open 2")
    event = event_of(sessionId="new")

    reading = read_begin(event)

    customer = find_customer("+1234567890", "")
    access = access_of(customer, is_named=True, now=event.at)
    usage = usage_at(customer.pk, event.at, access.zone, access.tier.call_hold_minutes)
    assert not reading.is_known
    assert (reading.access.limits, reading.access.allowed_channels) == (access.limits, access.allowed_channels)
    assert reading.access.zone == access.zone
    assert reading.usage == usage
    assert len(usage.rows) > 3
    assert [balance.amount for balance in usage.balances] == [5, 9, 1, 30]
    assert sum(balance.drawn > 0 for balance in usage.balances) > 1
    assert usage.drawn_seconds_today() > 61
    for name in ("pk", "name", "status", "valid_from", "valid_until", "context", "time_zone"):
        assert getattr(reading.access.customer, name) == getattr(access.customer, name)
    for name in ("pk", "slug", "context", "call_hold_minutes"):
        assert getattr(reading.access.tier, name) == getattr(access.tier, name)
    assert reading.channel == Channel.objects.get(pk="whatsapp")
    assert reading.agent.name == "My Agent"
    assert read_begin(event_of(sessionId="open 1")).is_known


def test_usage_is_read_as_one_sum_until_a_limit_is_for_a_part_of_it(livetok: LiveTok, monkeypatch):
    monkeypatch.setattr(reading, "_limits_have_scopes", threading.Event())
    tier = make_tier("premium", limit("call_minutes", 600), limit("sessions", 90, "month"))
    customer = make_customer(tier)
    for number, kind in enumerate(["web", "web", "telephony"]):
        livetok.begin(sessionId=f"{number}", kind=kind, timestamp="2024-03-15T09:00:00Z")
        livetok.end(sessionId=f"{number}", kind=kind, timestamp="2024-03-15T09:01:00Z", duration=60)
    livetok.begin(sessionId="open", kind="web", timestamp="2024-03-15T09:59:00Z")

    whole = read_begin(event_of(sessionId="new"))
    make_override(customer, limit("sessions", 3, "month", channel="web"))
    parted = read_begin(event_of(sessionId="new"))

    usage = usage_at(customer.pk, NOW, whole.access.zone, tier.call_hold_minutes)
    assert parted.usage == usage
    assert [row.channel for row in whole.usage.rows] == [None, "web"]  # the open session's own
    for one in whole.access.limits:
        assert whole.usage.used(one) == usage.used(one)
    assert [usage.used(one) for one in parted.access.limits if one.has_scope] == [3]


@pytest.mark.parametrize("number", ["+1999999999", None])
@pytest.mark.parametrize("serve", ["serve", "deny"])
def test_the_policys_tier_is_read_for_callers_who_are_no_customers(livetok: LiveTok, number, serve):
    known, unnamed = rich_tier("known"), make_tier("unnamed", limit("messages", 5))
    set_policy(
        unknown_callers=serve,
        unknown_callers_tier=known,
        callers_without_number=serve,
        callers_without_number_tier=unnamed,
    )

    reading = read_begin(event_of(phoneNumber=number))

    access = access_of(None, is_named=number is not None, now=NOW)
    assert reading.access.customer is None
    assert (reading.access.tier, reading.access.limits) == (access.tier, access.limits)
    assert reading.access.policy_serves is (serve == "serve")
    assert reading.begins is None


def rows_of(model, *without):
    names = [field.attname for field in model._meta.concrete_fields if field.name not in ("id", *without)]
    return sorted(repr(row) for row in model.objects.values_list(*names))


def test_the_ordinary_way_leaves_the_rows_of_the_careful_way(livetok: LiveTok, monkeypatch):
    tier = rich_tier()
    make_customer(tier, "+1111111111", time_zone="Asia/Tokyo")
    make_customer(tier, "+1222222222", status="blocked")

    def traffic():
        for name, number in (("a", "+1111111111"), ("b", "+1222222222"), ("c", None)):
            livetok.begin(sessionId=name, phoneNumber=number, timestamp="2024-03-31T14:59:00Z")
            livetok.end(sessionId=name, phoneNumber=number, duration=600, timestamp="2024-03-31T15:09:00Z")
            livetok.begin(sessionId=f"{name} open", phoneNumber=number)
        assert_usage_is_sound()
        clocks = ("begin_received_at", "missing_from", "end_received_at", "answer")
        return [
            rows_of(Session, *clocks, "customer"),
            rows_of(DailyUsage),
            rows_of(WebhookEvent, "received_at", "took_ms"),
        ]

    ordinary = traffic()
    assert CustomerTurn.objects.get(customer__numbers__key="+1111111111").begins == 2
    for model in (Session, DailyUsage, WebhookEvent):
        model.objects.all().delete()
    monkeypatch.setattr(begin, "ORDINARY_ATTEMPTS", 0)
    monkeypatch.setattr(end, "read_end", lambda event: None)

    assert traffic() == ordinary


def test_a_begin_that_another_one_overtook_is_decided_again(livetok: LiveTok, monkeypatch):
    make_customer(make_tier("premium", limit("concurrent_sessions", 1)))
    overtaken = []

    def read_late(event, **options):
        reading = read_begin(event, **options)
        if event.session_id == "late" and not overtaken:
            overtaken.append(True)
            livetok.begin(sessionId="first")
        return reading

    monkeypatch.setattr(begin, "read_begin", read_late)

    answer = livetok.begin(sessionId="late")

    assert overtaken
    assert answer["context"]["denied_reason"] == "concurrent_sessions"


@pytest.mark.django_db(transaction=True)
def test_a_begin_of_a_record_that_gives_way_meanwhile_is_the_other_customers(livetok: LiveTok, monkeypatch):
    livetok.begin(sessionId="first contact")
    ada = make_customer(None, "+1999999999")
    merged = []

    def read_late(event, **options):
        reading = read_begin(event, **options)
        if not merged:
            merged.append(True)
            with transaction.atomic():
                claim_number(ada, "+1234567890")
        return reading

    monkeypatch.setattr(begin, "read_begin", read_late)

    livetok.begin(sessionId="late")

    assert merged
    assert set(Session.objects.values_list("session_id", "customer")) == {("first contact", ada.pk), ("late", ada.pk)}
    assert_usage_is_sound()


@pytest.mark.only("postgresql")
@pytest.mark.django_db(transaction=True)
def test_both_statements_of_a_begin_and_of_an_end_are_prepared(livetok: LiveTok):
    make_customer()
    connection.close()

    for number in range(2):
        livetok.begin(sessionId=number)
        livetok.end(sessionId=number)
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement FROM pg_prepared_statements")
            prepared = [statement for (statement,) in cursor.fetchall()]

        assert len(prepared) == 4
        assert sum("sessions_app_session" in statement for statement in prepared) == 4


@pytest.mark.parametrize("model", [Session, DailyUsage, WebhookEvent, CustomerTurn])
def test_no_index_that_every_event_pays_is_the_beginning_of_another(db: None, model):
    partial = {index.name for index in model._meta.indexes if index.condition}
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, model._meta.db_table)
    indexes = {
        name: [*zip(about["columns"], about.get("orders") or ["ASC"] * len(about["columns"]), strict=True)]
        for name, about in found.items()
        if (about["index"] or about["unique"] or about["primary_key"]) and name not in partial
    }

    for name, columns in indexes.items():
        assert [other for other, more in indexes.items() if other != name and more[: len(columns)] == columns] == []


@pytest.mark.only("postgresql")
def test_a_begin_locks_no_channel_and_no_agent(livetok: LiveTok):
    make_customer()
    # A channel of its own: on a row that is there longer, any test before may have left its mark.
    livetok.begin(sessionId="first", agentId="7", kind="fax")
    livetok.end(sessionId="first", agentId="7", kind="fax", duration=60)
    livetok.begin(sessionId="second", agentId="7", kind="fax")
    connection.check_constraints()  # what a commit does

    session = Session.objects.last()
    assert session.channel_id == "fax"
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmax::text FROM customers_channel WHERE slug = %s", [session.channel_id])
        assert cursor.fetchall() == [("0",)]
        cursor.execute("SELECT xmax::text FROM customers_agent WHERE livetok_id = %s", [session.agent_id])
        assert cursor.fetchall() == [("0",)]
