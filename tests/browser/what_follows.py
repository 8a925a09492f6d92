"""Rules, deliveries and sources for the pages that show them. It runs in the server's installation, without pytest."""

import json
import uuid
from datetime import timedelta

from django.utils import timezone

from automations.models import Attempt, Delivery, Firing, Rule, Source
from customers.models import Tier, TierLimit
from sessions_app.models import Session
from tests.builders import make_channel, make_customer, make_tier
from tests.following import add_secret, make_destination, make_rule, make_source

TICKET = """\
{
  "ticket": {
    "subject": "Call from {{ customer.name | default: session.number }}",
    "minutes": "{{ session.duration_minutes }}"
  }
}
"""
LINK = "https://desk.example.com/tickets/"
# Of an attempt, by the answer's status: the error, and the answer's text.
OUTCOMES = {
    None: ("The request went out to api.livetok.ai, but no answer came in time.", ""),
    201: ("", '{"ticket": {"id": 4711}}'),
    410: ("", ""),
    422: ("", '{"error": "RecordInvalid", "description": "Requester: the e-mail address is not valid"}'),
    503: ("", "Service Unavailable"),
}


def make_all(url: str) -> None:
    """Prints where things are, as JSON. `url`: a receiver."""
    rule = make_rules(url)
    deliveries = make_deliveries(rule, url)
    source = make_sources(url)
    session = Session.objects.get(session_id="call-0")
    print(json.dumps({"source": source.pk, "session": session.pk, **deliveries}))


def make_rules(url: str) -> Rule:
    """One that fires on each call that ended, and others that do not: for each of them, another condition fails."""
    desk = make_destination(f"{url}/tickets", name="Help desk", headers="X-Key: {{ secrets.key }}", per_second=5)
    add_secret(desk, "key", "hunter2-hunter2")
    kept = {"kept_pointer": "/ticket/id", "kept_link": f"{LINK}{{{{ kept.value }}}}"}
    rule = make_rule("ended", desk, name="A ticket for each call", action={"body": TICKET, **kept})
    weekday = (timezone.localdate().weekday() + 3) % 7
    make_rule("ended", desk, name="VIP calls", tiers=[make_tier("vip", name="VIP")])
    make_rule("ended", desk, name="Long calls", least_duration_seconds=600)
    make_rule("ended", desk, name="Very long calls", least_duration_seconds=3600)
    make_rule("ended", desk, name="Chats", channels=[make_channel("webchat")])
    make_rule("began_allowed", desk, name="Once a week", weekdays=[weekday])
    make_rule("began_denied", desk, name="Denied callers")
    TierLimit.objects.create(tier=Tier.objects.get(slug="standard"), metric="call_minutes", period="day", amount=60)
    make_rule("usage_reached", desk, name="Nearly used up", thresholds=[80, 100])
    return rule


def make_deliveries(rule: Rule, url: str) -> dict[str, int]:
    """One in each state, each of a session of its own, by what it shows. None of them is due within an hour."""
    chat = make_destination(f"{url}/chat", name="Sales in Slack", kind="slack")
    chat.paused_at, chat.paused_because = timezone.now(), "It answered 410: it wants no more."
    chat.save()
    whatsapp = make_destination("https://api.livetok.ai/v1", name="WhatsApp by LiveTok", kind="whatsapp")
    mail = make_destination("", name="Mails to sales", kind="email")
    to_sales = {"recipient": "sales@example.com", "subject": "A VIP called", "body": b"Ada called."}
    made = {
        "delivered": _deliver(rule, "delivered", [503, 201], kept_value="4711", kept_link=f"{LINK}4711"),
        "failed": _deliver(rule, "failed", [503, 503, 422]),
        "refused": _deliver(rule, "failed", [422]),
        "sending": _deliver(rule, "sending", []),
        "waiting": _deliver(rule, "waiting", [503]),
        "paused": _deliver(rule, "waiting", [410], destination=chat, body=b'{"text": "A VIP called"}'),
        "unknown": _deliver(rule, "unknown", [None], destination=whatsapp, recipient="+15550000006"),
        "skipped": _deliver(rule, "skipped", [], destination=mail, **to_sales),
        "one": _deliver(rule, "failed", [503, 422]),
    }
    return {name: delivery.pk for name, delivery in made.items()}


def _deliver(rule: Rule, state: str, statuses: list[int | None], **fields: object) -> Delivery:
    now = timezone.now()
    action = rule.actions.get()
    session = Session.objects.get(session_id=f"call-{Delivery.objects.count()}")
    firing = Firing.objects.create(rule=rule, session=session, subject=f"made {session.pk}", fired_at=now)
    delivery = Delivery.objects.create(
        **{"destination": action.destination, "method": "POST", "body": b'{"ticket": {"subject": "A call"}}', **fields},
        firing=firing,
        action=action,
        session=session,
        state=state,
        attempts_made=len(statuses),
        created_at=now - timedelta(minutes=40),
        next_attempt_at=now + timedelta(hours=2),
        lease=uuid.uuid4() if state == "sending" else None,
        lease_until=now + timedelta(hours=2) if state == "sending" else None,
        finished_at=None if state in ("sending", "waiting") else now - timedelta(minutes=20),
    )
    for number, status in enumerate(statuses):
        error, answer = OUTCOMES[status]
        started_at = now - timedelta(minutes=40 - 5 * number)
        Attempt.objects.create(
            delivery=delivery, started_at=started_at, seconds=0.214, status=status, error=error, answer=answer
        )
    return delivery


def make_sources(url: str) -> Source:
    """One that answers, and one that did not."""
    make_customer(None, "+15550009999", name="Ada Lovelace", external_id="1001")
    shop = make_source(
        f"{url}/customers/{{{{ customer.external_id }}}}",
        "last_order = /orders/0/title\norders_so_far = /order_count\nvip = /vip",
        headers="Authorization: Bearer {{ secrets.token }}",
    )
    add_secret(shop, "token", "hunter2-hunter2")
    failed = {"last_failed_at": timezone.now(), "last_failure": "no answer within 300 ms"}
    make_source(f"{url}/tickets", "open_tickets = /count", name="Tickets", is_active=False, **failed)
    return shop
