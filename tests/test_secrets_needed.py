"""A destination whose secrets are not entered yet, as after an import, says so; nothing is switched on for it."""

import pytest

from automations.models import Delivery, Destination, Rule
from automations.needs import missing_secrets
from tests.following import add_secret, judge_and_send, make_destination, make_rule
from tests.staff import errors_of, form_of, staff, text_of

pytestmark = pytest.mark.django_db(transaction=True)

DESTINATIONS, RULES = "/admin/automations/destination/", "/admin/automations/rule/"
NEEDS = "needs secrets: path"


@pytest.fixture(autouse=True)
def _own_key(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@pytest.fixture
def ana(db):
    return staff("managers")


@pytest.fixture
def slack(ana):
    return make_destination("https://hooks.slack.com/services/{{ secrets.path }}", kind="slack", name="Slack")


def found(client, state):
    return [row.name for row in client.get(f"{DESTINATIONS}?state={state}").context["cl"].result_list]


@pytest.mark.parametrize(
    ("fields", "stored", "missing"),
    [
        ({"address": "https://a.example/{{ secrets.path }}/{{ secrets.key }}"}, ["key"], ["path"]),
        ({"address": "https://secrets.example.com/"}, [], []),
        ({"address": "https://a.example/", "headers": "X: {{ secrets.token | base64_encode }}"}, [], ["token"]),
        ({"address": "https://a.example/", "is_signed": True}, [], ["signing"]),
        ({"kind": "email", "is_signed": True}, [], []),
    ],
)
def test_which_secrets_are_missing(fields, stored, missing):
    assert missing_secrets(Destination(**{"kind": "http", **fields}), stored) == missing


def test_it_is_not_working_but_says_what_it_needs(ana, slack):
    make_destination(name="Other")
    for path in (DESTINATIONS, f"{DESTINATIONS}{slack.pk}/change/"):
        assert NEEDS in text_of(ana.get(path))

    assert (found(ana, "needs"), found(ana, "working"), found(ana, "failing")) == (["Slack"], ["Other"], [])
    add_secret(slack, "path", "x")
    assert (found(ana, "needs"), sorted(found(ana, "working"))) == ([], ["Other", "Slack"])
    assert NEEDS not in text_of(ana.get(DESTINATIONS))


def test_no_rule_for_it_is_switched_on(ana, slack):
    rule = make_rule("ended", slack, is_active=False, name="Tell sales", action={"body": '{"text": "x"}'})
    page = f"{RULES}{rule.pk}/change/"

    response = ana.post(page, {**form_of(ana, page), "is_active": "on"})
    assert f"“Slack” {NEEDS}. Enter them on its page first. Until then, leave the rule off." in errors_of(response)
    chosen = {"action": "switch_on", "_selected_action": [rule.pk]}
    response = ana.post(RULES, chosen, follow=True)
    assert f"“Tell sales” was not switched on. “Slack” {NEEDS}. Enter them on its page first." in text_of(response)
    assert not Rule.objects.get().is_active

    add_secret(slack, "path", "x")
    ana.post(RULES, chosen)
    assert Rule.objects.get().is_active
    assert ana.post(page, form_of(ana, page)).status_code == 302


def test_no_test_is_sent_there(ana, slack):
    rule = make_rule("silent", slack, action={"body": '{"text": "x"}'})

    response = ana.post(f"{RULES}{rule.pk}/test/", {"action": rule.actions.get().pk}, follow=True)

    assert f"Nothing was sent: “Slack” {NEEDS}." in text_of(response)
    assert not Delivery.objects.exists()


def test_the_first_message_pauses_it_and_once_its_secret_is_there_saving_says_that_it_is_still_paused(
    ana, slack, livetok
):
    make_rule("began_allowed", slack, action={"body": '{"text": "x"}'})
    livetok.begin()
    judge_and_send()
    slack.refresh_from_db()
    assert slack.paused_because == "It needs secrets: path. Enter them on its page."

    page = f"{DESTINATIONS}{slack.pk}/change/"
    row = {"secrets-0-name": "path", "secrets-0-value": "T0/B0/x"}
    response = ana.post(page, {**form_of(ana, page), **row}, follow=True)
    assert "It is still paused, and what is for it waits: resume it once all is mended." in text_of(response)
    assert f'<a href="{page}">resume it</a>' in response.content.decode()

    Destination.objects.update(paused_at=None)
    response = ana.post(page, form_of(ana, page), follow=True)
    assert "still paused" not in text_of(response)
    assert Delivery.objects.get().state == "waiting"
