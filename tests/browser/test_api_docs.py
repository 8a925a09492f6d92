"""The API's pages in a real browser: offline, under the content security policy, and of use."""

import pytest
from playwright.sync_api import Page, expect

from tests.live import LiveServer

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]

LIGHT = {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}}
DARK = {**LIGHT, "color_scheme": "dark"}
PHONE = {"color_scheme": "light", "viewport": {"width": 360, "height": 740}}


@pytest.mark.parametrize("context_options", [LIGHT, DARK, PHONE], ids=["light", "dark", "phone"])
def test_the_api_is_described_and_can_be_tried_offline(page: Page, live_server_process: LiveServer, context_options):
    server = live_server_process
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    key = server.manage("create_api_key", "--name", "docs", "--scope", "read").strip()

    page.goto(f"{server.url}/api/docs/")
    page.get_by_role("button", name="Authorize").click()
    by_header = page.locator(".auth-container", has_text="X-API-Key")
    by_header.get_by_label("Value:").fill(key)
    by_header.get_by_role("button", name="Apply credentials").click()
    by_header.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="GET /api/v1/tiers/", exact=True).click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()

    expect(page.locator(".live-responses-table .response .response-col_status").first).to_contain_text("200")
    expect(page.locator(".live-responses-table")).to_contain_text('"slug": "standard"')
    is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(28, 32, 34)"
    assert is_dark == (context_options["color_scheme"] == "dark")
    assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
