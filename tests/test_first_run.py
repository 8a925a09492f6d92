"""First-run set-up: what it makes, and what it leaves alone afterwards."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from config.first_run import UsernameTaken, group_permissions, set_up
from customers.keys import create_key, key_holder
from customers.models import ApiKey, DenialMessage, Policy, Tier
from sessions_app.decision.rules import DENIAL_MESSAGES

pytestmark = pytest.mark.django_db


def codenames(group: str) -> set[str]:
    return set(group_permissions()[group].values_list("codename", flat=True))


def test_the_first_run_makes_everything_that_a_new_installation_needs():
    made = set_up()
    assert set(Group.objects.values_list("name", flat=True)) == {"viewers", "managers", "administrators"}
    assert Tier.objects.get().slug == "standard"
    assert Policy.objects.get().unknown_callers_tier == Tier.objects.get()
    assert {row.reason: row.message for row in DenialMessage.objects.all()} == {
        reason.value: message for reason, message in DENIAL_MESSAGES.items()
    }
    assert made.account is not None
    assert made.account.username == "admin"
    assert Client().login(username="admin", password=made.account.made_up_password)
    assert User.objects.get().is_superuser
    holder = key_holder(made.webhook_key)
    assert holder is not None
    assert holder.scopes == {"webhook"}


def test_a_second_run_makes_and_shows_nothing():
    set_up()
    again = set_up()
    assert again.account is None
    assert again.webhook_key is None
    assert (User.objects.count(), ApiKey.objects.count(), Tier.objects.count()) == (1, 1, 1)


def test_what_staff_changed_stays():
    set_up()
    Group.objects.get(name="viewers").permissions.clear()
    DenialMessage.objects.filter(reason="customer_paused").update(message="Call us.")
    Tier.objects.update(name="Basic")
    set_up()
    assert not Group.objects.get(name="viewers").permissions.exists()
    assert DenialMessage.objects.get(reason="customer_paused").message == "Call us."
    assert Tier.objects.get().name == "Basic"


def test_a_reason_that_a_new_version_adds_gets_its_sentence():
    set_up()
    DenialMessage.objects.filter(reason="no_number").delete()
    set_up()
    assert DenialMessage.objects.get(reason="no_number").message


def test_an_account_and_a_password_may_come_from_the_environment(settings):
    settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD = "ada", "given-from-outside"
    made = set_up()
    assert made.account.username == "ada"
    assert made.account.made_up_password == ""
    assert Client().login(username="ada", password="given-from-outside")


def test_no_account_is_made_where_staff_exist():
    User.objects.create_user("grace", is_staff=True)
    assert set_up().account is None
    assert User.objects.count() == 1


def test_an_account_that_is_no_staff_account_is_not_taken_over():
    User.objects.create_user("admin")
    with pytest.raises(UsernameTaken, match="ADMIN_USERNAME"):
        set_up()


def test_no_key_is_made_where_one_exists_or_comes_from_outside(settings):
    settings.WEBHOOK_SECRET = "a-secret-from-outside"
    assert set_up().webhook_key is None
    settings.WEBHOOK_SECRET = ""
    create_key("mine", ["read"])
    assert set_up().webhook_key is None
    assert ApiKey.objects.count() == 1


def test_viewers_see_everything_but_bodies_keys_and_accounts():
    viewers = codenames("viewers")
    assert {"view_customer", "view_session", "view_policy", "view_historicaltier", "view_webhookevent"} <= viewers
    assert all(name.startswith("view_") for name in viewers)
    assert not {"view_bodies", "view_apikey", "view_historicalapikey", "view_user"} & viewers
    assert {"view_rule", "view_destination", "view_delivery"} <= viewers
    assert not {"view_secret", "view_historicalsecret"} & viewers


def test_managers_change_customers_and_tiers_but_no_keys_policy_or_accounts():
    managers = codenames("managers")
    assert codenames("viewers") < managers
    for model in (
        "customer",
        "phonenumber",
        "tier",
        "tierlimit",
        "limitoverride",
        "rule",
        "action",
        "destination",
        "secret",
    ):
        assert {f"add_{model}", f"change_{model}", f"delete_{model}"} <= managers
    assert {"change_channel", "change_session"} <= managers
    assert not {"change_policy", "add_apikey", "change_user", "view_bodies", "change_denialmessage"} & managers


def test_administrators_have_all_of_it():
    administrators = codenames("administrators")
    assert codenames("managers") < administrators
    assert {
        "view_bodies",
        "add_apikey",
        "change_policy",
        "change_denialmessage",
        "add_user",
        "close_month",
    } <= administrators
    assert "change_group" in administrators
    assert Permission.objects.filter(codename="change_group").exists()
