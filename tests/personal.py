"""A person of whom as much is known as can be, and whether anything of it is found again."""

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import time_machine
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.utils import timezone

from automations.deliveries.making import DigestLine, make_digest
from automations.models import Action, CachedContext
from automations.rules.judging import judge
from customers.editing import bring_instance
from customers.models import Customer
from customers.personal.erasing import erase_further
from customers.settling import settle_due
from sessions_app.billing.closing import close_month
from sessions_app.billing.statements import Month
from sessions_app.packing import DICTIONARIES, LONGEST, pack
from sessions_app.sums.keeping import keep_sums
from tests.api import Api
from tests.builders import make_tier
from tests.following import make_destination, make_rule, make_source

NAME, EMAIL, EXTERNAL_ID = "Zoë Quisling-Ypsilanti", "zoe.quisling@example.org", "crm-77-zq"
NUMBER, SPELLED, OLD_NUMBER = "+4915199887766", "+49 (151) 99-88-77-66", "+4915155443322"
TRACES = (NAME, "Quisling", "quisling", EMAIL, EXTERNAL_ID, "15199887766", "66778899", "99-88-77-66", "15155443322")


def found_in(content: bytes) -> list[str]:
    """Which of the person's traces are in some bytes or in what is packed there, plain or as JSON escapes them."""
    spelled = {trace: {trace.encode(), trace.encode("ascii", "backslashreplace")} for trace in TRACES}
    plain = b"\n".join([content, *_packed_in(content)])
    return [trace for trace, ways in spelled.items() if any(way in plain for way in ways)]


def _packed_in(content: bytes) -> Iterator[bytes]:
    """What is packed anywhere in some bytes, as far as it is there."""
    head = pack(b"x" * 100)[2:6]
    for found in re.finditer(re.escape(head), content):
        unpacker, plain = zlib.decompressobj(zdict=DICTIONARIES[head]), b""
        with suppress(zlib.error):
            for place in range(found.start() - 2, found.start() + 2 * LONGEST, 8):
                plain += unpacker.decompress(content[place : place + 8])
        yield plain


def found_in_tables() -> dict[str, list[str]]:
    """By table and column, what is found in the rows of all tables."""
    found: dict[str, list[str]] = {}
    for model in apps.get_models(include_auto_created=True):
        for row in model._default_manager.values():
            for name, value in row.items():
                content = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                if traces := found_in(content):
                    found.setdefault(f"{model._meta.db_table}.{name}", []).extend(traces)
    return found


def erase_to_the_end(customer: Customer) -> None:
    """What the worker does at once, and an hour later."""
    erase_further()
    with time_machine.travel(customer.erasure.requested_at + timedelta(hours=1, minutes=1)):
        erase_further()
        keep_sums()
    customer.erasure.refresh_from_db()


def hours_ago(hours: float) -> datetime:
    return timezone.now() - timedelta(hours=hours)


def known_person(livetok: Any) -> Customer:
    """A customer with all that can be known of one: of last month and of today, two hours ago."""
    api = Api("manage")
    months_ago = hours_ago(24 * 40)
    with time_machine.travel(months_ago):
        # Nobody yet: a first contact by an old number, and a test.
        _session(livetok, "past-1", months_ago, phoneNumber=OLD_NUMBER)
        livetok.begin(sessionId="test-1", phoneNumber=NUMBER, test=True, livemode=False)
        body = {"name": NAME, "tier": "standard", "email": EMAIL, "numbers": [SPELLED], "context": {"called": NAME}}
        api.put(f"/api/v1/customers/by-external-id/{EXTERNAL_ID}/", body, status=201)
        api.patch(f"/api/v1/customers/by-external-id/{EXTERNAL_ID}/", {"numbers": [SPELLED, OLD_NUMBER]})
        _session(livetok, "past-2", months_ago + timedelta(minutes=5), phoneNumber=SPELLED)
        livetok.end(sessionId="past-2", phoneNumber=NUMBER, **_end(months_ago + timedelta(minutes=5), 90))
        customer = Customer.objects.get(external_id=EXTERNAL_ID)
        starts_at = (months_ago + timedelta(days=1)).isoformat()
        change = {"tier": "standard", "starts_at": starts_at, "note": f"as {NAME} asked"}
        api.post(f"/api/v1/customers/{customer.pk}/tier-changes/", change, status=201)
    closer = User.objects.create_user("closer")
    # What has come, and why staff changed something, are reasons in the history.
    with time_machine.travel(months_ago + timedelta(days=2)):
        Customer.objects.filter(pk=customer.pk).update(tier=make_tier("lower"))
        settle_due(lambda: False)
        customer.refresh_from_db()
        customer._history_user = closer
        bring_instance(customer, {"status": "active", "time_zone": "Europe/Berlin"}, f"{NAME} has moved")
    close_month(Month.holding(months_ago.date()), closer)
    lately = hours_ago(2)
    with time_machine.travel(lately):
        overrides = [{"metric": "sessions", "period": "day", "amount": 9, "note": f"for {NAME}"}]
        api.patch(f"/api/v1/customers/{customer.pk}/", {"numbers": [NUMBER], "notes": f"{NAME} is kind"})
        api.patch(f"/api/v1/customers/{customer.pk}/", {"overrides": overrides})
        premium = api.put("/api/v1/tiers/premium/", {"name": "Premium"}, status=201)["slug"]
        changes = f"/api/v1/customers/{customer.pk}/tier-changes/"
        for days in (1, 300):
            starts_at = (lately + timedelta(days=days)).isoformat()
            api.post(changes, {"tier": premium, "starts_at": starts_at, "note": f"for {NAME}"}, status=201)
        top_up = {"metric": "sessions", "amount": 9, "note": f"paid by {NAME}"}
        api.post(f"/api/v1/customers/{customer.pk}/top-ups/", top_up, status=201)
        LogEntry.objects.log_actions(closer.pk, [customer], CHANGE, f"Notes: {NAME}")
        destination = make_destination()
        source = make_source("https://shop.example.com/{{ session.number }}", is_active=False)
        make_rule("ended", destination, action={"body": '{"who": "{{ customer.name }}", "n": "{{ session.number }}"}'})
        make_digest(destination, Action.objects.get(), [DigestLine(f"10:00 {NAME}")], lately)
        for number, caller in ((1, f"customer {customer.pk} 1234"), (2, f"number {NUMBER}")):
            who = customer if number == 1 else None
            CachedContext.objects.create(
                source=source, caller=caller, recipe="x", values={"n": NAME}, fetched_at=lately, customer=who
            )
        _session(livetok, "lately-1", lately, phoneNumber=SPELLED, customerName=NAME)
        livetok.begin(sessionId="open-1", phoneNumber=NUMBER, timestamp=lately.isoformat())
        livetok.send(f'{{"event": "session_begin", "phoneNumber": "{SPELLED}"}}'.encode())
        livetok.send(f'{{"event": "lead_made", "by": "{EMAIL}"}}'.encode())
        judge.judge()
        keep_sums()
    return customer


def _session(livetok: Any, session_id: str, started_at: datetime, **changes: Any) -> None:
    livetok.begin(sessionId=session_id, timestamp=started_at.isoformat(), **changes)
    livetok.end(sessionId=session_id, **changes, **_end(started_at, 60))


def _end(started_at: datetime, seconds: int) -> dict[str, Any]:
    return {"timestamp": (started_at + timedelta(seconds=seconds)).isoformat(), "duration": seconds}
