"""Every report page in a real browser: accessible, light, at rest, readable anywhere and on paper; and at work."""

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reports import (
    LIGHT,
    MOST_BYTES,
    MOST_SHIFT,
    PAGES,
    PHONE,
    WITHOUT_JAVASCRIPT,
    assert_accessible,
    assert_filters_fold,
    assert_fit_for_paper,
    assert_heading,
    assert_no_table_scrolls,
    assert_nothing_is_cut_off,
    assert_tables_fit,
    assert_wide_tables_are_cards,
    open_page,
    send,
    send_sessions,
)
from tests.builders import begin_body
from tests.live import LiveServer

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]

# Numbers of a chart's scale that stand on its bars.
ON_BARS = """
[...document.querySelectorAll(".chart .scale")].filter(number => {
  const of = number.getBoundingClientRect();
  return [...number.closest("svg").querySelectorAll(".hit")].some(bar => bar.getBoundingClientRect().left < of.right);
}).length
"""
# Sums up what moves while the page loads.
WATCH_SHIFTS = """
window.shifts = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
TRANSFERRED = """
performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .reduce((sum, entry) => sum + entry.transferSize, 0)
"""


def now() -> str:
    return datetime.now(UTC).isoformat()


@pytest.fixture(scope="module")
def server(live_server_process: LiveServer) -> LiveServer:
    """Twelve callers' sessions of the last minutes, two of them open, and one caller without a number."""
    server = live_server_process
    send_sessions(server, 12, open_ones=2)
    send(server, begin_body(sessionId="unnamed", phoneNumber=None, timestamp=now()))
    return server


@pytest.fixture(scope="module")
def addresses(server: LiveServer) -> list[tuple[str, str, bool]]:
    """Each page with what its address needs, its heading, and whether it holds a table."""
    script = """
from django.utils import timezone
from customers.models import Agent, Customer, Tier, TierLimit
from customers.scheduling import start_draft
from sessions_app.models import Session
from sessions_app.replay.running import ask_for_replay, replay_further
Agent.objects.update(name="W" * 250)
tier = Tier.objects.get(slug="standard")
for metric, period, amount, hard in (
    ("call_minutes", "day", 60, True), ("sessions", "month", 1, True), ("call_minutes", "month", 0, False)
):
    TierLimit.objects.create(tier=tier, metric=metric, period=period, amount=amount, hard=hard)
tier.price_per_minute_over, tier.currency = "0.10", "EUR"
tier.save()
customer = Customer.objects.filter(numbers__key="+15550000001").first()
draft = start_draft(tier, None)
draft.limits.filter(period="month", metric="sessions").update(amount=0)
replay = ask_for_replay(draft, 7, None)
replay_further(lambda: False)
print(replay.pk, customer.pk, Session.objects.get(session_id="call-1").pk, f"{timezone.localdate():%Y-%m}", customer)
"""
    replay, customer, session, month, name = server.manage("shell", "--no-imports", "-c", script).strip().split(" ", 4)
    return [
        (
            page.path.format(replay=replay, customer=customer, session=session, month=month),
            page.heading.format(name=name),
            page.has_table,
        )
        for page in PAGES
    ]


@pytest.mark.parametrize("context_options", [LIGHT, PHONE], ids=["desktop", "phone"])
def test_every_page_is_accessible_light_and_at_rest(page: Page, server, addresses, context_options):
    page.add_init_script(WATCH_SHIFTS)
    for path, heading, _ in addresses:
        open_page(page, server, path)
        assert_heading(page, heading)
        assert_nothing_is_cut_off(page)
        if page.viewport_size["width"] == PHONE["viewport"]["width"]:
            assert_wide_tables_are_cards(page)
            assert_tables_fit(page)
            assert_filters_fold(page)
        else:
            assert_no_table_scrolls(page)
        if path.startswith("statements/?"):
            # A minute and a half over, at 0.10 EUR a minute.
            expect(page.get_by_text("0.15 EUR").first).to_be_visible()
        assert page.evaluate(ON_BARS) == 0
        assert_accessible(page)
        page.wait_for_load_state("networkidle")  # half a second without a request, which has mostly gone by
        assert page.evaluate("window.shifts") < MOST_SHIFT, path
        page.emulate_media(color_scheme="dark")
        assert_accessible(page, colours_alone=True)
        page.emulate_media(color_scheme="light")
        for question in page.locator(".what button >> visible=true").all()[:3]:
            question.click()
            assert_nothing_is_cut_off(page)
        assert_nothing_is_cut_off(page)
        assert page.evaluate(TRANSFERRED) < MOST_BYTES, path
        # The search is in every page's header, and so has no place among them.
        places = 0 if path.startswith("search/") else 1
        expect(page.get_by_role("navigation", name="Main").locator("[aria-current]")).to_have_count(places)


@pytest.mark.parametrize("context_options", [WITHOUT_JAVASCRIPT], ids=["without javascript"])
def test_every_page_works_without_javascript_and_on_paper(page: Page, server, addresses, context_options):
    open_page(page, server, "live/")
    page.emulate_media(media="print")
    for path, heading, has_table in addresses:
        open_page(page, server, path)
        assert_heading(page, heading)
        if has_table:
            expect(page.locator("main table >> visible=true").first).to_be_visible()
        expect(page.get_by_role("navigation", name="Main")).to_be_hidden()
        assert_fit_for_paper(page)
        page.emulate_media(media="screen")
        expect(page.get_by_role("navigation", name="Main")).to_be_visible()
        page.emulate_media(media="print")


def test_staff_go_through_the_pages_by_keyboard(page: Page, server):
    open_page(page, server, "live/")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Customers").focus()
    page.keyboard.press("Enter")
    assert_heading(page, "Customers")

    question = page.get_by_role("button", name="What “At the limit today” means")
    answer = page.get_by_text("Customers whose fullest limit today is used up.")
    expect(answer).to_be_hidden()
    question.focus()
    page.keyboard.press("Enter")
    expect(answer).to_be_visible()
    page.keyboard.press("Enter")
    expect(answer).to_be_hidden()

    page.get_by_label("Search").focus()
    page.keyboard.type("+15550000003")
    page.keyboard.press("Enter")
    expect(page.locator("table.customers tbody tr")).to_have_count(1)
    page.locator("table.customers tbody th a").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Limits in force")).to_be_visible()
    page.get_by_role("link", name="All sessions of the last 90 days").focus()
    page.keyboard.press("Enter")
    assert_heading(page, "Sessions")
    expect(page.locator("table.sessions tbody tr")).to_have_count(1)


@pytest.mark.parametrize("context_options", [PHONE], ids=["phone"])
def test_home_leads_to_who_should_upgrade_and_a_phone_folds_filters(page: Page, server, addresses):
    open_page(page, server, "?period=7d")
    expect(page.get_by_label("From")).to_be_hidden()
    page.get_by_text("Filters", exact=True).click()
    expect(page.get_by_label("From")).to_have_value(re.compile(r"\d{4}-\d\d-\d\d"))
    assert_accessible(page)
    definition = page.get_by_text("Sessions let in, of those let in and those denied.")
    page.get_by_role("button", name="What “Allow rate” means").click()
    expect(definition).to_be_visible()
    assert_accessible(page)
    page.get_by_role("heading", level=1).click()
    expect(definition).to_be_hidden()

    page.goto(f"{server.url}/admin/")
    page.get_by_role("link", name="Who should upgrade").click()
    assert_heading(page, "Upgrade candidates")
    page.get_by_role("row", name=re.compile("1 sessions? a month")).first.get_by_role(
        "link", name="1", exact=True
    ).first.click()
    expect(page.locator(".chip", has_text="In the 1 month of the last 2 at the limit")).to_be_visible()
    expect(page.locator("table.sessions tbody tr")).to_have_count(1)


def test_the_heat_map_fits_from_1024_pixels_on_and_scrolls_by_itself_below(page: Page, server):
    open_page(page, server, "?period=7d")
    box = page.get_by_role("region", name="Sessions by weekday and hour")
    for width, fits in ((1024, True), (1280, True), (360, False)):
        page.set_viewport_size({"width": width, "height": 800})
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth") == fits, width
        assert_nothing_is_cut_off(page)
    box.evaluate("box => { box.scrollIntoView(); box.scrollLeft = 500; }")
    expect(box.get_by_role("rowheader", name="Wed")).to_be_in_viewport()


def test_the_live_page_refreshes_itself_and_keeps_focus_and_scrolling(page: Page, server):
    page.clock.install()
    page.set_viewport_size({"width": 1280, "height": 500})
    open_page(page, server, "live/")
    before = page.locator("table.open-sessions tbody tr").count()
    link = page.locator("table.open-sessions tbody a").last
    key = link.get_attribute("data-key")
    link.focus()
    page.evaluate("window.scrollTo(0, 40)")
    scrolled = page.evaluate("window.scrollY")

    send(server, begin_body(sessionId="fresh", phoneNumber="+15550009999", timestamp=now()))
    page.clock.run_for(11_000)

    expect(page.locator("table.open-sessions tbody tr")).to_have_count(before + 1)
    assert page.evaluate("document.activeElement.dataset.key") == key
    assert page.evaluate("window.scrollY") == scrolled

    page.get_by_role("button", name="Pause").click()
    send(server, begin_body(sessionId="later", phoneNumber="+15550009998", timestamp=now()))
    page.clock.run_for(60_000)
    expect(page.locator("table.open-sessions tbody tr")).to_have_count(before + 1)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("table.open-sessions tbody tr")).to_have_count(before + 2)

    page.get_by_label("Channel").select_option("whatsapp")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("channel=whatsapp"))


def test_a_group_is_drilled_into_and_the_table_downloaded(page: Page, server):
    open_page(page, server, "customers/top/?period=7d")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    content = download.value.path().read_text(encoding="utf-8-sig")
    assert content.splitlines()[0].startswith("Rank,Customer")
    expect(page.locator("main table tbody tr")).to_have_count(len(content.splitlines()) - 1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download XLSX").click()
    assert download.value.path().read_bytes()[:2] == b"PK"

    page.locator("main table tbody tr").first.locator("td.number a").first.click()
    assert_heading(page, "Sessions")
    expect(page.locator("table.sessions tbody tr")).to_have_count(1)


def test_a_month_is_closed_after_a_question(page: Page, server):
    open_page(page, server, "statements/?month=2024-01")
    page.get_by_role("link", name="Close the month").click()
    assert_heading(page, "Close January 2024")
    page.get_by_role("button", name="Close January 2024").click()
    expect(page.get_by_text("January 2024 is closed: 0 statements.")).to_be_visible()
    expect(page.get_by_role("link", name="Close the month")).to_have_count(0)


def test_webhook_health_counts_and_explains(page: Page, server):
    open_page(page, server, "webhook/?period=7d")
    row = page.get_by_role("row", name="Accepted A begin or an end that was new")
    shown = int(row.locator("a").inner_text())
    row.locator("a").click()
    expect(page.get_by_text(re.compile(f"{shown} .*event"))).to_be_visible()


def test_a_customer_is_exported_and_erased_after_a_question(page: Page, server):
    send(server, begin_body(sessionId="to-erase", phoneNumber="+15559998877", timestamp=now()))
    open_page(page, server, "sessions/?period=7d")
    page.get_by_role("link", name="+15559998877").first.click()
    page.get_by_role("link", name="Erase…").click()
    assert_heading(page, "Erase +15559998877")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export all that is known first").click()
    assert b"+15559998877" in download.value.path().read_bytes()

    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_text("Type “erase”, or go back")).to_be_visible()
    assert_accessible(page)
    page.get_by_label("To go on, type the word “erase”").fill("erase")
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_text("This customer is being erased.")).to_be_visible()
    expect(page.get_by_role("link", name="Erase…")).to_have_count(0)
    assert_accessible(page)
