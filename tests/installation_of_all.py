"""An installation with one of everything, in which callers' numbers and e-mail addresses stand wherever they can."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from automations.models import Attempt, Delivery, Rule
from automations.rules.judging import judge
from config.first_run import set_up
from config.models import FailedSignIns
from customers.models import Customer, CustomerChange, Erasure, PhoneNumber, TierChange, TierChangeLimit, TopUp
from customers.scheduling import start_draft
from customers.search.keeping import keep_search_keys
from customers.settling import settle_tier
from sessions_app.models import RefusedRequests, WebhookEvent
from sessions_app.replay.running import ask_for_replay, replay_further
from tests.builders import limit, make_customer, make_livetok, make_tier, set_policy
from tests.following import add_secret, make_destination, make_rule, make_source

NUMBER, AS_WRITTEN, EMAIL = "+442079460777", "+44 20 7946 0777", "ada.lovelace@analytical.example"
NAMELESS, STRANGER = "+44 20 7946 0776", "+34911234567"
# Parts of them, in whatever form a page may write them.
TOLD_BY = ("7946 077", "7946077", "7946%20077", "7946+077", "7770649702", "911234567", "lovelace", "analytical")


def make_installation() -> None:
    set_up()
    livetok = make_livetok()
    tier = make_tier("premium", limit("call_minutes", 60))
    about: dict[str, Any] = {"email": EMAIL, "notes": f"Call {NUMBER}, or write to {EMAIL}."}
    told = {"callback": AS_WRITTEN, "mail": EMAIL, "size": "large"}
    ada = make_customer(tier, AS_WRITTEN, name="Ada", external_id="crm-1", context=told, **about)
    ada.notes, ada.email = f"{AS_WRITTEN} again", f"new.{EMAIL}"
    ada.save()
    # Pages call somebody without a name by the number.
    asked = f"Asked for by {NUMBER}, {EMAIL}"
    draft = start_draft(tier, None)
    draft.note = asked
    draft.save()
    CustomerChange.objects.create(customer=ada, tier=tier, starts_at=timezone.now() + timedelta(days=300), note=asked)
    TierChange.objects.create(tier=tier, starts_at=timezone.now() + timedelta(days=300), note=asked)
    # What has come leaves its note in the history as the reason.
    come = TierChange.objects.create(tier=tier, starts_at=timezone.now(), note=asked)
    TierChangeLimit.objects.create(change=come, **limit("call_minutes", 61))
    settle_tier(tier)
    TopUp.objects.create(customer=ada, metric="sessions", amount=5, note=asked)
    nameless = make_customer(tier, NAMELESS, name="")
    keep_search_keys([ada.pk, nameless.pk])
    add_secret(make_source("https://shop.example.com/{{ customer.number }}", is_active=False), "token", "s3cret")
    crm = make_destination("https://crm.example.com/in", name="CRM")
    add_secret(crm, "token", "s3cret")
    in_body = '{"number": "{{ session.number }}", "mail": "{{ customer.email }}"}'
    make_rule("ended", crm, action={"body": in_body, "path": "/{{ session.number }}"})
    in_mail = {"recipient": "{{ customer.email }}", "subject": "{{ session.number }}", "text": "{{ session.number }}"}
    make_rule("began_allowed", make_destination("", name="Mails", kind="email"), action={"body": "", **in_mail})
    Rule.objects.update(active_since=timezone.now() - timedelta(hours=1))
    set_policy(unknown_callers="deny")
    for session_id, number in enumerate((AS_WRITTEN, AS_WRITTEN, NAMELESS, STRANGER), 1):
        at = timezone.now().isoformat()
        livetok.begin(sessionId=f"call-{session_id}", phoneNumber=number, timestamp=at)
    livetok.end(sessionId="call-1", timestamp=timezone.now().isoformat(), durationSeconds=30)
    livetok.send({"event": "session_begin"})  # rejected: it has no id
    WebhookEvent.objects.update(error=f"phoneNumber: {AS_WRITTEN} is odd.")
    judge.judge()
    for delivery in Delivery.objects.all():
        Attempt.objects.create(delivery=delivery, started_at=timezone.now(), seconds=1, answer=f"{NUMBER} {EMAIL}")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    RefusedRequests.objects.create(hour=now, count=1, last_at=now)
    FailedSignIns.objects.create(hour=now, count=1)
    draft.limits.update(amount=0)
    ask_for_replay(draft, 7, None)
    replay_further(lambda: False)
    erased = Customer.objects.create(tier=tier, name="Erased customer")
    Erasure.objects.create(customer=erased, requested_at=now, finished_at=now, by="boss")
    assert PhoneNumber.objects.count() == 2
    assert Delivery.objects.count() > 2
