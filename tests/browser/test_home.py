"""Home in a real chromium: from the first steps to what staff ask of it, and how many clicks each answer takes."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reports import (
    PHONE,
    assert_accessible,
    assert_heading,
    assert_nothing_is_cut_off,
    follow,
    open_page,
    send,
)
from tests.builders import begin_body, end_body
from tests.live import LiveServer

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]

MADE = """
from customers.models import Customer, Tier, TierLimit
from django.contrib.auth.models import User
tier = Tier.objects.get(slug="standard")
TierLimit.objects.create(tier=tier, metric="sessions", period="day", amount=1)
ada = Customer.objects.get(numbers__key="+15550000001")
ada.name, ada._history_user = "Ada", User.objects.get()
ada.save()
"""


def look_at(page: Page) -> None:
    """As light, dark and on a phone."""
    assert_accessible(page)
    page.emulate_media(color_scheme="dark")
    assert_accessible(page, colours_alone=True)
    page.emulate_media(color_scheme="light")
    size = page.viewport_size
    page.set_viewport_size(PHONE["viewport"])
    assert_nothing_is_cut_off(page)
    assert_accessible(page)
    page.set_viewport_size(size)


def begin(server: LiveServer, session: str) -> None:
    send(server, begin_body(sessionId=session, phoneNumber="+15550000001", timestamp=datetime.now(UTC).isoformat()))


def test_home_leads_a_newcomer_to_the_first_begin_and_then_answers_in_few_clicks(
    page: Page, live_server_process: LiveServer, console_errors: list[str]
):
    server = live_server_process
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    open_page(page, server, "webhook/")
    follow(page.get_by_role("navigation", name="Main").get_by_role("link", name="Home"))
    look_at(page)
    page.get_by_role("button", name="Copy Begin Session URL").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{server.url}/webhooks/livetok/begin"

    begin(server, "first")
    expect(page.get_by_text("LiveTok reaches Frontdesk.")).to_be_visible(timeout=15_000)
    server.manage("shell", "--no-imports", "-c", MADE)
    begin(server, "second")
    send(server, end_body(sessionId="first", phoneNumber="+15550000001", timestamp=None, duration=60))
    page.get_by_role("link", name="Show what happens today").click()

    # Does LiveTok reach us, and what changed since yesterday, and by whom: without a click.
    expect(page.get_by_text("Last request now.")).to_be_visible()
    changed = page.get_by_role("region", name="Changed since yesterday")
    expect(changed).to_contain_text("admin")
    expect(changed).to_contain_text("→ Ada")
    look_at(page)
    home = page.url
    # Who should upgrade, and everything that was changed: a click each.
    page.locator(".figure", has_text="Upgrade candidates").get_by_role("link").click()
    assert_heading(page, "Upgrade candidates")
    page.goto(home)
    page.get_by_role("link", name="Everything that was changed").click()
    assert_heading(page, "Changes")
    look_at(page)
    page.get_by_role("link", name="Ada", exact=True).click()
    assert_heading(page, "History: Ada")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Settings").click()
    expect(page.get_by_role("heading", name="Settings")).to_be_in_viewport()

    assert page.goto(f"{server.url}/admin/nothing/").status == 404
    console_errors.clear()
    look_at(page)
    page.get_by_role("link", name="Back to Home").click()
    assert_heading(page, "Home")
