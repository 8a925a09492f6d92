"""Tiers, channels, the policy, denial messages and API keys in the admin."""

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from customers.models import Agent, ApiKey, DenialMessage, Policy, Tier, TierLimit
from tests.builders import LiveTok, begin_body, limit, make_channel, make_customer, make_livetok, make_tier, set_policy
from tests.staff import errors_of, form_in, form_of, list_of, staff, text_of, with_row

TIER_ADD = "/admin/customers/tier/add/"
KEYS = "/admin/customers/apikey/"
KEY_ADD = "/admin/customers/apikey/add/"
POLICY = "/admin/customers/policy/1/change/"
MESSAGES = "/admin/customers/denialmessage/"
DENY_ALL = {"emergency": "deny_all", "deny_all_confirmed": "on"}


@pytest.fixture
def boss(db):
    return staff("administrators")


def test_a_tier_with_limits_and_channels_works(boss):
    telephony = make_channel("telephony")
    data = form_of(boss, TIER_ADD) | {"name": "Premium", "slug": "premium", "allowed_channels": ["telephony"]}
    data = with_row(data, "limits", metric="call_minutes", period="day", amount="60", hard="on")
    data = with_row(data, "limits", metric="concurrent_sessions", period="", amount="2", channel="telephony", hard="on")

    response = boss.post(TIER_ADD, data)

    assert response.status_code == 302, errors_of(response)
    tier = Tier.objects.get(slug="premium")
    assert [str(row) for row in tier.limits.all()] == [
        "60 call minutes a day",
        "2 concurrent sessions on telephony",
    ]
    assert list(tier.allowed_channels.all()) == [telephony]


def test_two_limits_of_one_key_are_refused_at_the_second(boss):
    data = form_of(boss, TIER_ADD) | {"name": "Premium", "slug": "premium"}
    data = with_row(data, "limits", metric="call_minutes", period="day", amount="60")
    data = with_row(data, "limits", metric="call_minutes", period="day", amount="90", hard="on")

    assert "same metric, period, channel and agent" in errors_of(boss.post(TIER_ADD, data))
    assert not TierLimit.objects.exists()


def test_a_limit_may_be_deleted_and_made_anew_at_once(boss):
    tier = make_tier("premium", limit("call_minutes", 60))
    path = f"/admin/customers/tier/{tier.pk}/change/"
    data = with_row(form_of(boss, path) | {"limits-0-DELETE": "on"}, "limits", metric="call_minutes", period="day")

    response = boss.post(path, data | {"limits-1-amount": "90"})

    assert response.status_code == 302, errors_of(response)
    assert [row.amount for row in tier.limits.all()] == [90]


def test_a_limit_that_somebody_else_adds_meanwhile_saves_nothing(boss):
    tier = make_tier("premium")
    path = f"/admin/customers/tier/{tier.pk}/change/"
    data = with_row(form_of(boss, path), "limits", metric="call_minutes", period="day", amount="60")
    TierLimit.objects.create(tier=tier, metric="call_minutes", period="day", amount=90)

    text = text_of(boss.post(path, data | {"name": "Gold"}, follow=True))

    assert "Nothing was saved:" in text
    tier.refresh_from_db()
    assert tier.name == "Premium"


def test_the_list_of_tiers_says_limits_channels_and_customers(boss):
    make_customer(make_tier("premium", limit("call_minutes", 60), limit("messages", 100)))

    text = text_of(boss.get("/admin/customers/tier/"))

    assert "60 call minutes a day; 100 messages a day" in text
    assert "Standard standard unlimited all 0" in text


@pytest.mark.parametrize(
    "context, keys, last",
    [
        ({"denied_message": "No", "a": 1}, "a key of Frontdesk's own: denied_message.", "denied_message comes last."),
        (
            {"denied_message": "No", "denied_reason": "No"},
            "keys of Frontdesk's own: denied_message, denied_reason.",
            "denied_message and denied_reason come last.",
        ),
    ],
)
def test_a_tiers_context_that_hides_a_key_of_frontdesks_own_is_saved_with_a_warning(boss, context, keys, last):
    data = form_of(boss, TIER_ADD) | {"name": "Gold", "slug": "gold", "context": json.dumps(context)}

    text = text_of(boss.post(TIER_ADD, data, follow=True))

    assert keys in text
    assert f"When a session is denied, Frontdesk's {last}" in text
    assert Tier.objects.get(slug="gold").context == context


def test_channels_make_themselves_and_are_edited(boss):
    make_channel("telephony")
    path = "/admin/customers/channel/telephony/change/"

    response = boss.post(path, form_of(boss, path) | {"label": "Phone", "longest_session_minutes": "90"})

    assert response.status_code == 302
    assert "Phone" in text_of(boss.get("/admin/customers/channel/"))
    assert boss.get("/admin/customers/channel/add/").status_code == 403
    assert boss.get("/admin/customers/channel/telephony/delete/").status_code == 403
    make_channel("fax")
    assert boss.post(path.replace("telephony", "fax"), {"longest_session_minutes": "0"}).status_code == 200


def test_agents_are_looked_at_only(boss):
    Agent.objects.create(livetok_id="a/b 1", name="Sales")

    assert "Sales" in text_of(boss.get("/admin/customers/agent/"))
    assert boss.get("/admin/customers/agent/add/").status_code == 403
    assert boss.post("/admin/customers/agent/a_2Fb 1/change/", {"name": "X"}).status_code == 403


def test_the_policy_opens_at_once_since_it_is_one_row(boss):
    assert boss.get("/admin/customers/policy/").headers["Location"] == POLICY
    assert boss.get("/admin/customers/policy/add/").status_code == 403
    assert boss.get("/admin/customers/policy/1/delete/").status_code == 403


def test_the_policy_needs_a_tier_where_it_serves(boss):
    response = boss.post(POLICY, form_of(boss, POLICY) | {"unknown_callers_tier": ""})

    assert "choose one, or deny unknown callers" in errors_of(response)


def test_a_denial_holds_from_the_very_next_begin(boss, livetok):
    response = boss.post(POLICY, form_of(boss, POLICY) | {"unknown_callers": "deny"})
    assert response.status_code == 302, errors_of(response)

    assert livetok.begin()["context"]["denied_reason"] == "unknown_caller"


def test_an_emergency_switch_without_an_end_is_warned_of(boss):
    text = text_of(boss.post(POLICY, form_of(boss, POLICY) | DENY_ALL, follow=True))

    assert "on without an end" in text


def test_denying_all_asks_once_more_with_the_calls_it_would_turn_away(boss, livetok):
    now = timezone.now()
    times = [now - timedelta(minutes=5), now - timedelta(minutes=70)]
    times += [now - timedelta(weeks=week, minutes=minute) for week, minute in ((1, 10), (1, 20), (2, 30), (3, 90))]
    for number, at in enumerate(times):
        livetok.begin(sessionId=f"s{number}", timestamp=at.isoformat())

    asked = boss.post(POLICY, form_of(boss, POLICY) | {"emergency": "deny_all"})

    # Two, one and none: a week without a call in this hour counts as well, one before the first call of all does not.
    assert "1 call came in the last hour, 1 is usual for this hour of the week" in errors_of(asked)
    assert "Yes, deny all" in text_of(asked)
    assert Policy.objects.get().emergency == "normal"
    assert boss.post(POLICY, form_in(asked) | DENY_ALL).status_code == 302
    assert Policy.objects.get().emergency == "deny_all"
    assert boss.post(POLICY, form_of(boss, POLICY)).status_code == 302
    # One that ended by itself is stored still, and asked for once more where it is to hold again.
    set_policy(emergency="deny_all", emergency_until=now - timedelta(hours=1))
    again = form_of(boss, POLICY) | {"emergency_until_0": "", "emergency_until_1": ""}
    assert "Yes, deny all" in text_of(boss.post(POLICY, again))


@pytest.mark.parametrize("path", ["/admin/", "/admin/customers/tier/", "/admin/sessions_app/session/"])
def test_every_page_has_a_banner_while_the_emergency_switch_is_on(boss, path):
    assert "emergency switch is on" not in text_of(boss.get(path))
    set_policy(emergency="deny_all", emergency_until=timezone.now() + timedelta(hours=1))
    assert "The emergency switch is on: nobody is let in until" in text_of(boss.get(path))
    set_policy(emergency="allow_all", emergency_until=None)
    assert "The emergency switch is on: everybody but blocked customers is let in ." in text_of(boss.get(path))
    set_policy(emergency_until=timezone.now() - timedelta(seconds=1))
    assert "emergency switch is on" not in text_of(boss.get(path))


def test_the_banner_is_not_for_strangers(client, boss):
    set_policy(emergency="deny_all")

    assert "emergency" not in text_of(client.get("/accounts/login/"))


def test_a_denial_message_is_edited_in_the_list_with_history(boss, livetok):
    data = list_of(boss, MESSAGES)
    index = next(name.split("-")[1] for name, value in data.items() if value == "unknown_caller")

    boss.post(MESSAGES, data | {f"form-{index}-message": "Go away."})

    set_policy(unknown_callers="deny")
    assert livetok.begin()["context"]["denied_message"] == "Go away."
    message = DenialMessage.objects.get(pk="unknown_caller")
    assert message.history.count() == 2
    text = text_of(boss.get(f"{MESSAGES}unknown_caller/history/"))
    assert "We do not know this number. Please contact us so that we can register you. Go away." in text
    assert boss.get(f"{MESSAGES}add/").status_code == 403
    assert boss.get(f"{MESSAGES}unknown_caller/delete/").status_code == 403


def make_key(client, **changes):
    data = {"name": "CRM", "allowed_scopes": ["read", "webhook"], "expires_at_0": "", "expires_at_1": ""} | changes
    return client.post(KEY_ADD, data)


def test_a_keys_secret_is_shown_once_and_works(boss):
    made = make_key(boss)
    key = ApiKey.objects.get()
    shown_at = f"{KEYS}{key.pk}/secret/"
    assert (made.status_code, made.headers["Location"]) == (302, shown_at)
    assert staff("administrators", "bob").get(shown_at).status_code == 302  # another one's key
    response = boss.get(shown_at)

    secret = re.search(r"fd_\w+_[\w-]{43}", response.content.decode())[0]
    key.refresh_from_db()
    assert (key.name, key.scopes, key.created_by) == ("CRM", ["read", "webhook"], boss.user)
    assert LiveTok(secret).send(begin_body()).status_code == 200
    for path in (KEYS, f"{KEYS}{key.pk}/change/", f"{KEYS}{key.pk}/history/", "/admin/"):
        assert secret not in boss.get(path).content.decode()
        assert key.secret_sha256 not in boss.get(path).content.decode()
    assert "no-store" in response.headers["Cache-Control"]
    assert all(secret not in cookie.value for cookie in boss.cookies.values())
    assert secret not in str(dict(boss.session))
    again = boss.get(shown_at, follow=True)  # which makes no other one, and takes nothing from this one
    assert "shown once" in text_of(again)
    assert ApiKey.objects.get() == key
    assert LiveTok(secret).send(begin_body()).status_code == 200


def test_a_key_without_a_scope_or_with_a_past_expiry_is_refused(boss):
    assert "required" in errors_of(make_key(boss, allowed_scopes=[]))
    past = make_key(boss, expires_at_0="2020-01-01", expires_at_1="00:00:00")
    assert "still to come" in errors_of(past)
    assert not ApiKey.objects.exists()


def test_a_keys_name_changes_and_nothing_else_of_it(boss):
    make_key(boss)
    key = ApiKey.objects.get()

    path = f"{KEYS}{key.pk}/change/"
    forged = {"allowed_scopes": ["manage"], "scopes": "manage", "secret_sha256": "x", "prefix": "x"}
    boss.post(path, form_of(boss, path) | forged | {"name": "ERP"})

    changed = ApiKey.objects.get()
    assert changed.name == "ERP"
    assert (changed.scopes, changed.secret_sha256, changed.prefix) == (key.scopes, key.secret_sha256, key.prefix)
    assert boss.get(f"{KEYS}{key.pk}/delete/").status_code == 403


def test_a_revoked_key_is_out_at_once_with_history(boss):
    livetok = make_livetok()
    assert livetok.send(begin_body()).status_code == 200
    key = ApiKey.objects.get()

    boss.post(KEYS, {"action": "revoke", "_selected_action": [key.pk]})

    assert livetok.send(begin_body()).status_code == 401, "this process asks no longer what it remembered"
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert key.history.first().history_user == boss.user
    assert "revoked" in text_of(boss.get(KEYS, {"state": "revoked"}))
    assert not boss.get(KEYS, {"state": "active"}).context["cl"].result_list
    assert "Revoked at" in text_of(boss.get(f"{KEYS}{key.pk}/history/"))
    path = f"{KEYS}{key.pk}/change/"
    name_again = boss.post(path, form_of(boss, path) | {"name": "Again"})
    assert name_again.status_code == 302
    assert ApiKey.objects.get().name == "LiveTok"


def test_the_policys_history_shows_before_and_after(boss):
    boss.post(POLICY, form_of(boss, POLICY) | DENY_ALL)

    text = text_of(boss.get("/admin/customers/policy/1/history/"))

    assert "Emergency switch normal deny all" in text
    assert Policy.objects.get().history.first().history_user == boss.user
