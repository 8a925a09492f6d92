"""The report page of sessions in a real browser: filtering, drilling down, and staying readable anywhere."""

import json
import re
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reports import wait_for_colours
from tests.builders import begin_body, end_body
from tests.live import LiveServer

pytestmark = pytest.mark.serial

LIGHT = {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}}
DARK = {**LIGHT, "color_scheme": "dark"}
PHONE = {"color_scheme": "light", "viewport": {"width": 360, "height": 740}}
WITHOUT_JAVASCRIPT = {**LIGHT, "java_script_enabled": False}


@pytest.fixture(scope="module")
def server(live_server_process: LiveServer) -> LiveServer:
    """Sixty sessions of the last hour, one of them open."""
    now = datetime.now(UTC)
    for number in range(60):
        begun = now - timedelta(minutes=60 - number)
        common = {"sessionId": f"call-{number}", "phoneNumber": f"+1555000{number:04}"}
        send(live_server_process, begin_body(**common, timestamp=begun.isoformat()))
        if number:
            ended = begun + timedelta(seconds=90)
            send(live_server_process, end_body(**common, timestamp=ended.isoformat(), duration=90))
    return live_server_process


def send(server, body):
    request = urllib.request.Request(
        f"{server.url}/webhooks/livetok",
        json.dumps(body).encode(),
        {"X-API-Key": server.webhook_key, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        assert response.status == 200


def open_reports(page: Page, server: LiveServer, query: str = "?period=7d", title: str = "Sessions") -> None:
    page.goto(f"{server.url}/reports/{'' if title == 'Overview' else 'sessions/'}{query}")
    page.get_by_label("Name").fill(server.username)
    page.get_by_label("Password").fill(server.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


def assert_nothing_is_cut_off(page: Page) -> None:
    """Tables scroll inside their own box; the page itself never sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("context_options", [LIGHT, WITHOUT_JAVASCRIPT], ids=["with", "without javascript"])
def test_staff_filter_read_a_session_and_go_back(page: Page, server: LiveServer):
    open_reports(page, server)
    expect(page.get_by_role("heading", name="60 sessions, newest first")).to_be_visible()

    page.get_by_label("State").select_option("Open")
    page.get_by_label("Search").fill("+1555000")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="1 session, newest first")).to_be_visible()
    address = page.url
    assert "state=open" in address
    assert "period=7d" in address

    page.locator("table.sessions tbody a").first.click()
    expect(page.get_by_role("heading", name="Session call-0")).to_be_visible()
    expect(page.get_by_text("Every rule passed.").first).to_be_visible()
    expect(page.get_by_role("row", name="session_begin Accepted")).to_be_visible()
    page.get_by_text("Body of the begin").click()
    expect(page.get_by_text('"sessionId": "call-0"').first).to_be_visible()

    page.get_by_role("navigation", name="Breadcrumbs").get_by_role("link", name="Sessions").click()
    expect(page.get_by_role("heading", name="1 session, newest first")).to_be_visible()
    expect(page.get_by_label("State")).to_have_value("open")

    page.get_by_role("link", name="Clear all").click()
    expect(page.get_by_role("heading", name="60 sessions, newest first")).to_be_visible()


@pytest.mark.only("sqlite")
def test_staff_page_through_the_list_and_follow_a_figure(page: Page, server: LiveServer):
    open_reports(page, server)
    expect(page.locator("table.sessions tbody tr")).to_have_count(50)

    page.get_by_role("link", name="Older").first.click()
    expect(page.locator("table.sessions tbody tr")).to_have_count(10)
    page.get_by_role("link", name="Newest").first.click()
    expect(page.locator("table.sessions tbody tr")).to_have_count(50)

    page.get_by_role("navigation", name="Sorted by").get_by_role("link", name="Longest first").click()
    expect(page.get_by_role("heading", name="59 sessions, longest first")).to_be_visible()
    page.get_by_role("link", name="Next page").first.click()
    expect(page.locator("table.sessions tbody tr")).to_have_count(9)


@pytest.mark.parametrize("context_options", [LIGHT, WITHOUT_JAVASCRIPT], ids=["with", "without javascript"])
@pytest.mark.only("sqlite")
def test_staff_go_from_the_overview_to_the_sessions_behind_a_figure(page: Page, server: LiveServer):
    open_reports(page, server, "?period=7d", "Overview")
    page.locator(".figures > div", has_text="Missing ends").get_by_role("link", name="0").click()
    expect(page.get_by_text("Nothing in these days matches every filter.")).to_be_visible()

    page.goto(f"{server.url}/reports/?period=7d")
    page.get_by_role("region", name="Sessions by channel").get_by_role("link", name="60").click()
    expect(page.get_by_role("heading", name="60 sessions, newest first")).to_be_visible()
    expect(page.get_by_label("Channel", exact=True)).to_have_value("whatsapp")

    page.goto(f"{server.url}/reports/?period=7d")
    page.get_by_role("region", name="Sessions by duration").get_by_role("link", name="59").click()
    expect(page.get_by_role("heading", name="59 sessions, newest first")).to_be_visible()
    page.get_by_role("link", name="Drop: Lasting less than 3 min").click()
    expect(page.locator(".chip", has_text="Lasting less than")).to_have_count(0)
    expect(page.locator(".chip", has_text="Lasting 1 min or more")).to_be_visible()


@pytest.mark.only("sqlite")
def test_the_list_is_downloaded_as_it_is_shown(page: Page, server: LiveServer):
    open_reports(page, server, "?period=7d&state=ended")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()

    assert lines[0] == "Started (UTC),Caller,Number,State,Reason,Duration (s),Tier,Channel,Agent,Session,Odd"
    assert len(lines) == 60
    assert [line.split(",")[-2] for line in lines[1:51]] == [
        text.strip() for text in page.locator("table.sessions td.id").all_inner_texts()
    ]


@pytest.mark.only("sqlite")
def test_a_wrong_date_is_named_at_its_field(page: Page, server: LiveServer):
    open_reports(page, server, "?first_day=2024-03-02&last_day=2024-03-01")

    expect(page.locator(".field", has=page.get_by_label("To (included)"))).to_contain_text(
        "Give the first day or a later one."
    )


@pytest.mark.only("sqlite")
def test_the_overview_is_used_by_keyboard(page: Page, server: LiveServer):
    open_reports(page, server, "?period=7d", "Overview")
    definition = page.get_by_text("Sessions let in, of those let in and those denied.")
    expect(definition).to_be_hidden()

    page.get_by_role("button", name="What “Allow rate” means").focus()
    page.keyboard.press("Enter")
    expect(definition).to_be_visible()

    page.keyboard.press("Escape")
    expect(definition).to_be_hidden()

    page.get_by_role("link", name="Skip the chart").focus()
    page.keyboard.press("Tab")
    expect(page.locator(".chart .tip").first).to_be_visible()
    expect(page.locator(".chart .tip").first).to_contain_text("0 sessions, 0 denied")

    page.locator("summary", has_text="The same as a table").focus()
    page.keyboard.press("Enter")
    page.get_by_role("navigation", name="Trend by").get_by_role("link", name="Hour").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sessions by hour")).to_be_visible()
    page.get_by_label("From").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("by=hour"))


@pytest.mark.parametrize("context_options", [LIGHT, DARK, PHONE], ids=["light", "dark", "phone"])
@pytest.mark.only("sqlite")
def test_pages_stay_readable(page: Page, server: LiveServer):
    open_reports(page, server)
    assert_nothing_is_cut_off(page)
    assert_contrast(
        page, "body", "#content .range", ".presets [aria-current]", ".filters button", ".state", "table.sessions td a"
    )

    page.locator("table.sessions tbody a").first.click()
    expect(page.get_by_role("heading", name="Why? The decision")).to_be_visible()
    assert_nothing_is_cut_off(page)
    assert_contrast(page, "body", ".quiet", "pre", ".trace tbody th", ".note", "summary")

    page.goto(f"{server.url}/reports/sessions/?tier=gold")
    assert_nothing_is_cut_off(page)
    assert_contrast(page, ".field-error", ".errornote")


CONTRAST = """
selector => {
  const luminance = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(part => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const element = document.querySelector(selector);
  let behind = element;
  while (behind && /rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(behind).backgroundColor)) {
    behind = behind.parentElement;
  }
  const text = luminance(getComputedStyle(element).color);
  const ground = behind ? luminance(getComputedStyle(behind).backgroundColor) : 1;
  return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
}
"""


def assert_contrast(page: Page, *selectors: str) -> None:
    """WCAG 2.1 AA for ordinary text."""
    wait_for_colours(page)
    for selector in selectors:
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector
