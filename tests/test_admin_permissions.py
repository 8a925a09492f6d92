"""What the groups of the first run may see and do in the admin."""

import html
import re

import pytest
from django.test import Client
from django.urls import reverse

from customers.admin.chosen import packed
from customers.models import Customer
from sessions_app.webhook.refused import refused_requests
from tests.builders import LiveTok, make_channel, make_customer, make_livetok, set_policy
from tests.staff import form_of, staff, text_of

VIEWED = ["customer", "tier", "channel", "agent", "policy", "denialmessage"]


def status(client, model, page, *args, app="customers"):
    return client.get(reverse(f"admin:{app}_{model}_{page}", args=args), follow=True).status_code


@pytest.mark.parametrize("group", ["viewers", "managers", "administrators"])
def test_everybody_views_all_but_keys(db, group):
    client = staff(group)

    assert {status(client, model, "changelist") for model in VIEWED} == {200}
    for model in ("session", "webhookevent", "dailyusage", "refusedrequests"):
        assert status(client, model, "changelist", app="sessions_app") == 200
    assert status(client, "apikey", "changelist") == (200 if group == "administrators" else 403)


@pytest.mark.parametrize(
    "group, adds",
    [("viewers", set()), ("managers", {"customer", "tier"}), ("administrators", {"customer", "tier", "apikey"})],
)
def test_who_may_add_what(db, group, adds):
    client = staff(group)

    added = {model for model in [*VIEWED, "apikey"] if status(client, model, "add") == 200}

    assert added == adds


@pytest.mark.parametrize(
    "group, changes",
    [
        ("viewers", set()),
        ("managers", {"customer", "tier", "channel"}),
        ("administrators", {"customer", "tier", "channel", "policy", "denialmessage"}),
    ],
)
def test_who_may_change_what(db, group, changes):
    client = staff(group)
    customer = make_customer()
    make_channel("telephony")
    pages = {
        "customer": customer.pk,
        "tier": customer.tier_id,
        "channel": "telephony",
        "policy": 1,
        "denialmessage": "unknown_caller",
    }

    changed = {
        model
        for model, pk in pages.items()
        if client.post(reverse(f"admin:customers_{model}_change", args=[pk]), {}).status_code != 403
    }

    assert changed == changes


def test_a_viewer_sees_a_customer_with_limits_and_history_and_no_form(db):
    viewer = staff("viewers")
    customer = make_customer()
    path = f"/admin/customers/customer/{customer.pk}/change/"

    page = viewer.get(path)

    assert "Limits in force now" in text_of(page)
    assert 'name="_save"' not in page.content.decode()
    assert viewer.get(f"/admin/customers/customer/{customer.pk}/history/").status_code == 200
    sent = {"action": "block", "_selected_action": [customer.pk], "chosen": packed([customer.pk]), "apply": "1"}
    viewer.post("/admin/customers/customer/", sent)
    assert Customer.objects.get().status == "active"


@pytest.mark.parametrize("path", ["/admin/customers/apikey/", "/admin/customers/tier/add/", "/admin/auth/user/"])
def test_what_an_account_may_not_do_is_told_on_a_page_of_ours_with_a_way_back(db, path):
    response = staff("viewers").get(path)

    assert response.status_code == 403
    assert "Not allowed Your account may not open this page or do this." in text_of(response)
    assert "ask an administrator for the permission" in text_of(response)
    assert '<a href="/admin/">Back to Home</a>' in response.content.decode()


def test_strangers_are_sent_to_sign_in(client, db):
    make_livetok()
    for path in ("/admin/", "/admin/customers/customer/", "/admin/customers/customer/import/"):
        assert client.get(path).headers["Location"].startswith("/admin/login/")


def test_every_page_of_the_admin_keeps_the_strict_policy_without_inline_code(db):
    boss = staff("administrators")
    customer = make_customer()
    make_livetok().begin()
    paths = [
        "/admin/",
        "/admin/customers/customer/",
        f"/admin/customers/customer/{customer.pk}/change/",
        f"/admin/customers/customer/{customer.pk}/history/",
        "/admin/customers/customer/import/",
        "/admin/customers/customer/export/",
        "/admin/customers/tier/add/",
        "/admin/customers/policy/1/change/",
        "/admin/customers/apikey/add/",
        "/admin/sessions_app/session/",
    ]
    for path in paths:
        response = boss.get(path)
        html = response.content.decode()
        assert "style=" not in html, path
        assert "<style" not in html, path
        assert not re.search(r" on\w+=", html), path
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        assert "unsafe" not in response.headers["Content-Security-Policy"]


def test_a_form_that_nobody_touched_saves(db):
    boss = staff("administrators")
    customer = make_customer()

    response = boss.post(
        f"/admin/customers/customer/{customer.pk}/change/",
        form_of(boss, f"/admin/customers/customer/{customer.pk}/change/"),
    )

    assert response.status_code == 302


@pytest.mark.parametrize("group", ["viewers", "managers", "administrators"])
def test_home_leads_nobody_to_a_page_that_they_may_not_open(db, group):
    """With a begin, a wrong key, a rejected request and the emergency switch on."""
    client, livetok = staff(group, "ana"), make_livetok()
    livetok.begin()
    livetok.send(b"{}")
    LiveTok("wrong").send(b"{}")
    set_policy(emergency="deny_all")

    home = client.get("/admin/").content.decode()

    assert "a wrong key" in home
    assert "The emergency switch is on" in home
    addresses = set(re.findall(r'href="(/(?:admin|reports)/[^"#]*)', home))
    assert len(addresses) > 10
    refused = [one for one in addresses if client.get(html.unescape(one), follow=True).status_code == 403]
    assert refused == []


def test_signed_in_staff_who_look_at_the_api_send_no_wrong_key(db, monkeypatch):
    client, api = staff("viewers", "vic"), "/api/v1/customers/"
    counted = []
    monkeypatch.setattr(refused_requests, "count", counted.append)

    assert client.get(api).status_code == 401
    assert counted == []
    for stranger, headers in [(client, {"X-API-Key": "wrong"}), (Client(), {})]:
        assert stranger.get(api, headers=headers).status_code == 401
    assert len(counted) == 2
