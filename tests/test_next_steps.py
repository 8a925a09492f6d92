"""What staff may do about a session that was denied: links and buttons of its page, by its reason and their rights."""

import html
import json
import re

import pytest
import time_machine
from django.contrib.auth.models import Permission

from customers.models import Customer
from tests.builders import limit, make_channel, make_customer, make_tier, moment, payload, set_policy, the_session
from tests.staff import form_of, report_page, staff, text_of

NOW = moment("2024-03-15T10:30:00+00:00")


@pytest.fixture(autouse=True)
def _now():
    with time_machine.travel(NOW, tick=False):
        yield


def steps(client):
    """Words and addresses of the page's buttons, those that every session has left out."""
    page = report_page(client, f"/reports/sessions/{the_session().pk}/", NOW)
    return [(step.words, step.address) for step in page.context["next_steps"]]


@pytest.mark.parametrize(
    ("customer", "tier", "policy", "reason", "words"),
    [
        ({}, [limit("call_minutes", 0)], {}, "call_minutes_day", ["Allow more until…", "Add a top-up…", "Change tier"]),
        ({}, [limit("concurrent_sessions", 0)], {}, "concurrent_sessions", ["Allow more until…", "Change tier"]),
        ({"status": "paused"}, [], {}, "customer_paused", ["Let in again"]),
        ({"status": "blocked"}, [], {}, "customer_blocked", ["Let in again"]),
        (
            {"valid_from": moment("2025-01-01T00:00:00+00:00")},
            [],
            {},
            "customer_not_yet_valid",
            ["Change until when the customer is valid"],
        ),
        (
            {"valid_until": moment("2024-01-01T00:00:00+00:00")},
            [],
            {},
            "customer_expired",
            ["Change until when the customer is valid"],
        ),
        ({}, "chat", {}, "channel_not_allowed", ["Change tier", "The tier's channels"]),
        ({}, [], {"emergency": "deny_all"}, "emergency_deny", ["Emergency switch"]),
        (None, [], {"unknown_callers": "deny"}, "unknown_caller", ["Make a customer", "Change the policy"]),
    ],
)
def test_each_reason_has_its_next_steps_for_those_who_may_take_them(livetok, customer, tier, policy, reason, words):
    made = make_tier("premium", *(tier if isinstance(tier, list) else []))
    if isinstance(tier, str):
        made.allowed_channels.set([make_channel(tier)])
    if customer is not None:
        make_customer(made, name="Ada", **customer)
    set_policy(**policy)
    livetok.begin(timestamp="2024-03-15T10:20:00Z")
    assert the_session().reason == reason

    boss = staff("administrators", "boss")
    found = steps(boss)
    assert [one for one, _ in found] == words
    for _, address in found:
        assert boss.get(address, follow=True).status_code == 200, address
    # Whoever may do none of it is offered none of it.
    assert steps(staff("viewers", "vic")) == []
    one = staff("viewers", "one")
    one.user.user_permissions.set(Permission.objects.filter(codename="change_customer"))
    own = {"Change tier", "Let in again", "Change until when the customer is valid"}
    assert [name for name, _ in steps(one)] == [name for name in words if name in own]


def test_a_paused_customer_is_let_in_again_from_the_session_with_one_button(livetok):
    customer = make_customer(name="Ada", status="paused")
    livetok.begin(timestamp="2024-03-15T10:20:00Z")
    boss = staff("administrators", "boss")
    page = report_page(boss, f"/reports/sessions/{the_session().pk}/", NOW)
    form = re.search(r'<form method="post" action="(/reports/customers[^"]+)".*?</form>', page.content.decode(), re.S)
    sent = dict(re.findall(r'name="(shown|status)" value="([^"]*)"', form[0]))

    assert boss.post(form[1], sent).status_code == 302

    customer.refresh_from_db()
    assert customer.status == "active"
    assert steps(boss) == []


def test_an_unknown_caller_becomes_a_customer_with_the_number_filled_in(livetok):
    set_policy(unknown_callers="deny")
    tier = make_tier()
    livetok.begin(timestamp="2024-03-15T10:20:00Z", phoneNumber="+442079460958")
    boss = staff("administrators", "boss")
    address = steps(boss)[0][1]

    form = form_of(boss, address)
    assert (form["numbers-TOTAL_FORMS"], form["numbers-0-number"]) == ("1", "+442079460958")
    made = boss.post(address, form | {"name": "Ada", "tier": str(tier.pk)})

    assert made.status_code == 302, text_of(made)
    customer = Customer.objects.get(numbers__key="+442079460958")
    assert steps(boss)[0] == ("A customer by now", f"/reports/customers/{customer.pk}/")
    # Somebody known by LiveTok's id alone.
    envelope = json.loads(payload("envelope_begin"))
    envelope["data"]["customer"] = {"id": "crm 7"}
    envelope["data"]["session_id"] = "456"
    assert livetok.send(envelope).status_code == 200
    page = report_page(boss, f"/reports/sessions/{the_session('456').pk}/", NOW)
    address = html.unescape(re.search(r'href="(/admin/customers/customer/add/[^"]+)"', page.content.decode())[1])
    assert form_of(boss, address)["external_id"] == "crm 7"


@pytest.mark.parametrize("metric", ["call_minutes", "sessions"])
def test_a_top_up_is_offered_of_what_was_used_up(livetok, metric):
    make_customer(make_tier("premium", limit(metric, 0, "month")), name="Ada")
    livetok.begin(timestamp="2024-03-15T10:20:00Z")
    boss = staff("administrators", "boss")
    (address,) = [address for words, address in steps(boss) if words == "Add a top-up…"]
    assert boss.get(address).context["form"]["metric"].value() == metric
    assert boss.get(address.partition("?")[0] + "?metric=x").context["form"]["metric"].value() == "call_minutes"
