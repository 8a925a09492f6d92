"""The page Try in a real chromium: from a customer to what would be answered, as if, played, and tried again."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reports import assert_heading, assert_nothing_is_cut_off, follow, open_page, send
from tests.browser.test_home import look_at
from tests.builders import begin_body, end_body
from tests.live import LiveServer

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]

MADE = """
from customers.models import Customer, Tier, TierLimit
tier = Tier.objects.get(slug="standard")
TierLimit.objects.create(tier=tier, metric="call_minutes", period="day", amount=2)
Tier.objects.create(slug="premium", name="Premium")
ada = Customer.objects.get(numbers__key="+15550000001")
ada.name = "Ada"
ada.save()
print(ada.pk)
"""


def test_from_a_customer_to_the_answer_as_if_and_to_a_session_that_is_played_and_tried_again(
    page: Page, live_server_process: LiveServer, console_errors: list[str]
):
    server = live_server_process
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    caller = {"sessionId": "used", "phoneNumber": "+15550000001", "kind": "telephony", "timestamp": now()}
    send(server, begin_body(**caller))
    send(server, end_body(**caller, duration=150))
    customer = server.manage("shell", "--no-imports", "-c", MADE).strip()
    open_page(page, server, f"customers/{customer}/")

    # Would she be let in, and what would LiveTok get: one click.
    follow(page.get_by_role("link", name="Try a call"))
    assert_heading(page, "Try")
    expect(page.get_by_label("Number")).to_have_value("+15550000001")
    expect(page.locator("main .state").first).to_have_text("Would be denied")
    expect(page.locator("table.trace tbody tr").first).to_contain_text("Call minutes of the day")
    page.get_by_role("button", name="Copy the answer").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith('{"allowed":false,"context":{')
    assert copied == page.locator(".as-sent code").inner_text()
    look_at(page)
    for width in (1024, 800, 1280):  # the header's navigation wraps, rather than being cut off
        page.set_viewport_size({"width": width, "height": 900})
        assert_nothing_is_cut_off(page)

    # As if the tier were another.
    page.get_by_text("As if …").click()
    page.get_by_label("As if the tier were").select_option("Premium")
    follow(page.get_by_role("button", name="Try", exact=True))
    expect(page.locator("main .state").first).to_have_text("Would be let in")
    expect(page.get_by_text("Played is what is really set and used, without “as if”.")).to_be_visible()
    # Half used, on her own tier.
    page.get_by_label("As if the tier were").select_option("as it is")
    page.get_by_label("Call minutes today").fill("1.5")
    follow(page.get_by_role("button", name="Try", exact=True))
    expect(page.locator("main .state").first).to_have_text("Would be let in")
    expect(page.locator("table.trace tbody tr", has_text="Call minutes of the day")).to_contain_text("1.5 min")

    # Played it is as it really is; its page leads back.
    follow(page.get_by_role("button", name="Play begin and end"))
    expect(
        page.get_by_text("Played as test traffic: denied, so no end was sent. It uses and counts nothing.")
    ).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Session play_")
    look_at(page)
    follow(page.get_by_role("link", name="Try again with today's settings"))
    assert_heading(page, "Try")
    expect(page.get_by_label("Call minutes today")).to_have_value("2.5")
    expect(page.get_by_label("Moment")).not_to_have_value("")
    expect(page.locator("main .state").first).to_have_text("Would be denied")


def now() -> str:
    return datetime.now(UTC).isoformat()
