"""A member of staff who sees Frontdesk for the first time, in a real chromium: why, how much is left, and give more."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reports import assert_heading, open_page, send
from tests.browser.test_home import look_at
from tests.builders import begin_body, end_body
from tests.live import LiveServer

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]

MADE = """
from customers.models import Customer, Tier, TierLimit
tier = Tier.objects.get(slug="standard")
TierLimit.objects.create(tier=tier, metric="call_minutes", period="day", amount=2)
ada = Customer.objects.get(numbers__key="+15550000001")
ada.name = "Ada"
ada.save()
"""

USED_UP = """
from customers.models import Customer, Tier, TierLimit
tier = Tier.objects.get(slug="standard")
TierLimit.objects.update_or_create(
    tier=tier, metric="call_minutes", period="day", channel=None, agent=None, defaults={"amount": 0}
)
ada = Customer.objects.get(numbers__key="+15550000001")
ada.name = "Ada"
ada.save()
ada.overrides.all().delete()
print(ada.pk)
"""


def call(server: LiveServer, session: str, seconds: int = 0) -> None:
    now = datetime.now(UTC).isoformat()
    caller = {"sessionId": session, "phoneNumber": "+15550000001", "kind": "telephony"}
    send(server, begin_body(**caller, timestamp=now))
    if seconds:
        send(server, end_body(**caller, timestamp=now, duration=seconds))


def test_from_home_to_the_reason_to_what_is_left_and_to_more_until_friday(
    page: Page, live_server_process: LiveServer, console_errors: list[str]
):
    server = live_server_process
    call(server, "used", seconds=150)
    server.manage("shell", "--no-imports", "-c", MADE)
    call(server, "denied")
    open_page(page, server, "live/")
    page.goto(f"{server.url}/admin/")
    home = page.url

    # Why was she denied: two clicks.
    page.get_by_role("row", name="Call minutes of the day").get_by_role("link").click()
    page.locator("table.sessions tbody th a, table.sessions tbody td a").first.click()
    expect(page.get_by_text("2.5 of 2 call minutes of this day were used; they start afresh")).to_be_visible()
    expect(page.locator("table.trace tbody tr").first).to_contain_text("Call minutes of the day")
    look_at(page)
    # How much has he left, and when does it reset: two clicks.
    page.goto(home)
    page.locator(".figure", has_text="At the limit today").get_by_role("link").click()
    page.get_by_role("link", name="Ada", exact=True).click()
    expect(page.get_by_text("2.5 of 2 call minutes used today; starts afresh")).to_be_visible()
    customer = page.url
    look_at(page)
    # More until Friday: three clicks and one number.
    page.get_by_role("link", name="Allow more until…").click()
    page.get_by_label("New limit, in all").fill("30")
    page.get_by_label("End of Friday").check()
    page.get_by_role("button", name="Allow more").click()
    assert_heading(page, "Ada")
    expect(page.get_by_text("call minutes a day, 30 until the end of Fri")).to_be_visible()
    expect(page.get_by_text("27.5 of 30 call minutes left today")).to_be_visible()
    # Paused, and let in again.
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("group", name="A session that began now")).to_contain_text("the customer is paused")
    page.get_by_role("button", name="Let in again").click()
    page.get_by_role("link", name="Edit in the admin").click()
    expect(page.get_by_text("Would be let in: 27.5 of 30 call minutes left today").first).to_be_visible()
    page.get_by_role("link", name="Usage").click()
    assert_heading(page, "Ada")
    for report, words in (("Statement", "Statement of Ada"), ("History", "History: Ada")):
        page.goto(customer)
        page.get_by_role("link", name=report, exact=True).click()
        assert_heading(page, words)

    page.goto(customer + "more/")
    page.get_by_role("button", name="Allow more").click()
    expect(page.get_by_text("Choose until when it holds.")).to_be_visible()
    console_errors.clear()  # the answer to what cannot be read is 400
    look_at(page)


def test_a_top_up_is_added_drawn_on_and_named_on_the_sessions_page(
    page: Page, live_server_process: LiveServer, console_errors: list[str]
):
    server = live_server_process
    call(server, "before", seconds=60)
    customer_id = server.manage("shell", "--no-imports", "-c", USED_UP).strip()
    open_page(page, server, f"customers/{customer_id}/")
    expect(page.get_by_role("group", name="A session that began now")).to_contain_text("Would be denied")
    customer = page.url
    page.get_by_role("link", name="Add a top-up…").click()
    page.get_by_label("How much").fill("60")
    page.get_by_label("Why, for your colleagues").fill("paid")
    look_at(page)
    page.get_by_role("button", name="Add the top-up").click()
    assert_heading(page, "Ada")
    expect(page.get_by_text("Ada: a top-up of 60 call minutes, without an end.")).to_be_visible()
    expect(page.get_by_role("group", name="A session that began now")).to_contain_text("60 of 60 minutes left")
    call(server, "drew", seconds=1800)
    page.goto(customer)
    expect(page.get_by_role("region", name="Top-ups", exact=True)).to_contain_text("30")
    look_at(page)
    page.locator("table.sessions tbody td a").first.click()
    expect(page.get_by_text("60 of 60 minutes left")).to_be_visible()
    look_at(page)
