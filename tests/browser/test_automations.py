"""A rule from a preset to its test, in a real chromium, with the content security policy on."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reports import PHONE, assert_accessible, assert_nothing_is_cut_off, assert_tables_fit, follow
from tests.browser.test_admin import begin, sign_in

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]

ADMIN = "/admin/automations"
# The field in which Django's own choice of many is searched.
NO_LABEL = ".select2-search__field"
SLACK = "https://hooks.slack.com/services/T0/B0/not-there"


def add_destination(page: Page, server, preset: str, name: str, secret: str) -> None:
    page.goto(f"{server.url}{ADMIN}/destination/add/")
    page.get_by_role("navigation", name="Presets").get_by_role("link", name=preset).click()
    page.locator("#id_name").fill(name)
    page.locator("#id_secrets-0-value").fill(secret)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist .success")).to_be_visible()


def test_a_rule_from_a_preset_is_rehearsed_previewed_and_tried(page: Page, live_server_process):
    server = live_server_process
    begin(server, sessionId="vip-call", phoneNumber="+15550007777")
    sign_in(page, server)
    add_destination(page, server, "Slack", "Sales in Slack", SLACK)
    page.get_by_role("link", name="Add a rule for it").click()
    page.locator("#id_name").fill("Tell sales about new callers")
    page.locator("#id_trigger").select_option("new_caller")
    page.get_by_label("Saturday").check()
    page.get_by_label(f"{datetime.now(UTC):%A}").check()
    page.get_by_text("Names that texts may use", exact=True).first.click()
    expect(page.get_by_role("row", name="customer.external_id")).to_be_visible()
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator(".messagelist .success")).to_be_visible()
    expect(page.get_by_text("it would have fired on 1 of 1 sessions")).to_be_visible()
    expect(page.locator("#id_actions-0-subject")).to_be_hidden()

    page.get_by_role("link", name="Rehearsal").click()
    expect(page.get_by_role("link", name="vip-call")).to_be_visible()
    page.get_by_role("link", name="Preview", exact=True).click()
    expect(page.get_by_label("What Sales in Slack gets")).to_contain_text("A new caller became a customer")
    expect(page.get_by_label("Where Sales in Slack sends it")).to_contain_text("https://hooks.slack.com/services/•••")
    page.get_by_role("button", name="Send a test to Sales in Slack").click()
    expect(page.locator(".messagelist .success")).to_contain_text("The test is on its way.")
    assert "not-there" not in page.content()


@pytest.mark.parametrize("context_options", [PHONE], ids=["phone"])
def test_the_pages_of_rules_and_destinations_are_accessible_and_fit(page: Page, live_server_process, console_errors):
    """At the width of a phone; `test_what_follows` looks at most of them on a desktop."""
    server = live_server_process
    name = "on a phone"
    begin(server, sessionId=f"call {name}", phoneNumber="+15550008888")
    sign_in(page, server)
    add_destination(page, server, "Slack", f"Chat {name}", SLACK)
    page.get_by_role("link", name="Add a rule for it").click()
    page.locator("#id_name").fill(f"Rule {name}")
    page.locator("#id_trigger").select_option("began_allowed")
    follow(page.get_by_role("button", name="Save and continue editing"))
    rule = page.url
    page.goto(f"{server.url}{ADMIN}/destination/")
    follow(page.get_by_role("link", name=f"Chat {name}"))
    destination = page.url
    lists = [f"{server.url}{ADMIN}/{what}/" for what in ("destination", "rule")]
    adding = [f"{lists[0]}add/", f"{lists[0]}add/?preset=zendesk", f"{lists[1]}add/"]
    tried = [rule.replace("/change/", f"/{what}/") for what in ("rehearsal", "preview")]
    for url in [destination, rule, *tried, *adding, *lists]:
        page.goto(url)
        assert_nothing_is_cut_off(page)
        assert_tables_fit(page)
        assert console_errors == [], url
        assert_accessible(page)
        page.emulate_media(color_scheme="dark")
        assert_accessible(page, colours_alone=True)
        page.emulate_media(color_scheme="light")
        console_errors.clear()  # axe adds a style of its own where a page has forms, and the policy blocks it


def test_the_buttons_of_a_paused_destination_cover_nothing(page: Page, live_server_process):
    server = live_server_process
    sign_in(page, server)
    page.goto(f"{server.url}{ADMIN}/destination/add/")
    page.get_by_role("navigation", name="Presets").get_by_role("link", name="E-mail").click()
    page.locator("#id_name").fill("Mails that go nowhere")
    page.get_by_role("button", name="Save and continue editing").click()
    # Without a mail server it says so in the same place as a pause does.
    box, buttons = page.locator(".refused").bounding_box(), page.locator(".object-tools").bounding_box()

    assert box is not None
    assert buttons is not None
    assert buttons["y"] + buttons["height"] <= box["y"]
