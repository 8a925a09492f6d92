"""What if Free had 25 minutes? A draft, put into force at a moment and now, on clicks, in a real chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reports import assert_heading, open_page, send
from tests.browser.test_home import look_at
from tests.builders import begin_body
from tests.live import LiveServer

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]

MADE = """
from customers.models import Customer, Tier, TierLimit
tier = Tier.objects.create(name="Free", slug="free-25")
TierLimit.objects.create(tier=tier, metric="call_minutes", period="day", amount=20)
Tier.objects.create(name="Silver", slug="silver")
Customer.objects.filter(numbers__key="+15550002525").update(name="Grace", tier=tier)
"""


def test_other_limits_are_tried_as_a_draft_scheduled_cancelled_and_put_into_force(
    page: Page, live_server_process: LiveServer, console_errors: list[str]
):
    server = live_server_process
    send(server, begin_body(sessionId="grace", phoneNumber="+15550002525", kind="telephony"))
    server.manage("shell", "--no-imports", "-c", MADE)
    open_page(page, server, "live/")
    page.goto(f"{server.url}/admin/")

    def look() -> None:
        assert console_errors == [], page.url
        look_at(page)
        console_errors.clear()  # axe adds a style of its own where a page has forms, and the policy blocks it

    def draft() -> None:
        page.goto(f"{server.url}/admin/customers/tier/")
        page.get_by_role("link", name="Free", exact=True).click()
        page.get_by_role("button", name="Try other limits as a draft").click()
        page.locator("input[name$='-amount']").first.fill("25")

    draft()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The draft is saved.")).to_be_visible()
    expect(page.get_by_role("group", name="Limits before and after")).to_contain_text("25 call minutes a day")
    look()
    page.locator("input[name=starts_at_0]").fill("2031-12-01")
    page.locator("input[name=starts_at_1]").fill("00:00:00")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Free has these limits from Mon 1 Dec 2031, 00:00:00.")).to_be_visible()
    look()
    page.get_by_role("link", name="Free", exact=True).first.click()
    expect(page.get_by_text("it replaces all limits of this tier then")).to_be_visible()
    look()
    page.get_by_role("link", name=re.compile("From .*2031")).click()
    page.get_by_role("link", name="Cancel this change").click()
    page.get_by_role("button", name=re.compile("Yes")).click()
    expect(page.get_by_text("cancelled.")).to_be_visible()
    draft()
    page.get_by_role("button", name="Put into force now").click()
    expect(page.get_by_text("Free has these limits from now on.")).to_be_visible()

    # Another tier for a customer, from a day on.
    open_page(page, server, "customers/")
    page.get_by_role("link", name="Grace", exact=True).first.click()
    page.get_by_role("link", name="Change tier").click()
    page.get_by_label(re.compile("Silver")).check()
    page.get_by_label(re.compile("From this day on")).fill("2031-12-01")
    look()
    page.get_by_role("button", name="Change tier").click()
    assert_heading(page, "Grace")
    expect(page.locator(".planned")).to_contain_text("Mon 1 Dec 2031, 00:00")
    look()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled: Grace stays on tier Free.")).to_be_visible()
