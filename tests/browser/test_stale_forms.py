"""Two people with one customer open, in a real chromium, with the content security policy on."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import watch
from tests.browser.test_admin import begin, sign_in

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_a_block_stays_and_so_does_what_the_other_had_typed(
    page: Page, browser: Browser, live_server_process, console_errors, scripts
):
    server, number = live_server_process, f"+1555000600{int(scripts)}"
    begin(server, sessionId=f"stale-{scripts}", phoneNumber=number)
    context = browser.new_context(java_script_enabled=scripts, viewport={"width": 390, "height": 844})
    context.set_default_timeout(10_000)
    other = context.new_page()
    watch(other, console_errors)
    for one in (page, other):
        sign_in(one, server)
        one.goto(f"{server.url}/admin/customers/customer/?q={number.replace('+', '%2B')}")
        one.locator("#result_list tbody a").first.click()
    page.get_by_label("Blocked").check()
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator(".messagelist .success")).to_be_visible()

    other.get_by_label("Email").fill("ada@example.com")
    other.get_by_role("button", name="Save", exact=True).click()

    told = other.get_by_role("alert")
    expect(told).to_contain_text("Nothing was saved: you saved other values yourself")
    expect(told.get_by_role("row", name="Status Before: Active After: Blocked")).to_be_visible()
    expect(other.get_by_label("Email")).to_have_value("ada@example.com")
    expect(other.get_by_label("Blocked")).to_be_checked()
    assert other.evaluate("document.documentElement.scrollWidth") <= 390 if scripts else True
    other.get_by_role("button", name="Save", exact=True).click()
    expect(other.locator(".messagelist .success")).to_be_visible()
    assert begin(server, sessionId=f"again-{scripts}", phoneNumber=number)["context"]["denied_reason"] == (
        "customer_blocked"
    )
    context.close()
