"""What browser tests of report pages share: signing in, the list of pages, and what every page must keep to."""

import json
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.builders import begin_body, end_body
from tests.live import LiveServer

LIGHT = {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}}
PHONE = {"color_scheme": "light", "viewport": {"width": 360, "height": 740}}
WITHOUT_JAVASCRIPT = {**LIGHT, "java_script_enabled": False}

WCAG_2_1_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
MOST_BYTES = 300 * 1024
MOST_SHIFT = 0.1


@dataclass(frozen=True)
class ReportPage:
    """`path` below /reports/; `{customer}`, `{session}`, `{replay}` and `{month}` are filled in, as is the customer's
    `{name}`."""

    path: str
    heading: str
    has_table: bool = True


# Every report page. A new one is listed here, and so held to what all keep to.
PAGES = [
    ReportPage("?period=7d", "Overview"),
    ReportPage("?period=7d&channel=whatsapp&tier=standard", "Overview"),
    ReportPage("sessions/?period=7d", "Sessions"),
    ReportPage("sessions/{session}/", "Session call-1"),
    ReportPage("search/?q=1555000", "Search", has_table=False),
    ReportPage("live/", "Live"),
    ReportPage("try/", "Try", has_table=False),
    ReportPage("try/?number=%2B15550000001&tier=standard&used_call_minutes_day=20", "Try"),
    ReportPage("replays/{replay}/", "Draft of Standard, the last 7 days"),
    ReportPage("customers/", "Customers"),
    ReportPage("customers/top/", "Top customers"),
    ReportPage("customers/candidates/", "Upgrade candidates"),
    ReportPage("customers/unknown/", "Unknown callers"),
    ReportPage("customers/{customer}/", "{name}"),
    ReportPage("customers/{customer}/more/", "Allow more: {name}", has_table=False),
    ReportPage("customers/{customer}/top-up/", "Add a top-up: {name}", has_table=False),
    ReportPage("customers/{customer}/tier/", "Change tier: {name}", has_table=False),
    ReportPage("customers/{customer}/erase/", "Erase {name}"),
    ReportPage("statements/?month={month}", "Statements"),
    ReportPage("statements/{customer}/{month}/", "Statement of {name}"),
    ReportPage("statements/close/?month=2024-01", "Close January 2024", has_table=False),
    ReportPage("webhook/", "Webhook health"),
    ReportPage("health/", "Health", has_table=False),
    ReportPage("changes/", "Changes", has_table=False),
]


def send(server: LiveServer, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{server.url}/webhooks/livetok",
        json.dumps(body).encode(),
        {"X-API-Key": server.webhook_key, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        assert response.status == 200


def send_sessions(server: LiveServer, count: int, *, open_ones: int = 1) -> None:
    """So many sessions of as many callers, one a minute until now; the first few are still open."""
    now = datetime.now(UTC)
    for number in range(count):
        begun = now - timedelta(minutes=count - number)
        common = {"sessionId": f"call-{number}", "phoneNumber": f"+1555000{number:04}"}
        send(server, begin_body(**common, timestamp=begun.isoformat()))
        if number >= open_ones:
            ended = begun + timedelta(seconds=90)
            send(server, end_body(**common, timestamp=ended.isoformat(), duration=90))


def follow(one: Locator) -> None:
    """Press what leads to another page, and wait until that one is there: what reads at once would read the old one."""
    with one.page.expect_navigation():
        one.click()


def open_page(page: Page, server: LiveServer, path: str) -> None:
    """Go to a report page, signing in where that is asked for."""
    page.goto(f"{server.url}/reports/{path}")
    if "/login/" in page.url:
        page.get_by_label("Name").fill(server.username)
        page.get_by_label("Password").fill(server.password)
        follow(page.get_by_role("button", name="Sign in", exact=True))


# What stands in a folded part fades only once it is unfolded, so nobody waits for that; and for nothing without end.
FADED = """
Promise.race([
  Promise.allSettled(
    document.getAnimations().filter(one => one.effect.target.checkVisibility()).map(one => one.finished)),
  new Promise(done => setTimeout(done, 5000)),
]).then(() => undefined)
"""


def wait_for_colours(page: Page) -> None:
    """The admin's links fade into theirs."""
    page.evaluate(FADED)


# Those of axe's rules whose outcome colours change: in the other scheme, all else of a page is as it was.
OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}


# Asked by hand, since `run` has the browser read all of axe again for each question.
AXE = Axe()


def assert_accessible(page: Page, *, colours_alone: bool = False) -> None:
    """axe-core finds nothing against WCAG 2.1, levels A and AA."""
    wait_for_colours(page)
    options = {"runOnly": OF_COLOURS if colours_alone else WCAG_2_1_AA, "resultTypes": ["violations"]}
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.axe_script)
    arguments = AXE._format_script_args(options=options)
    found = page.evaluate(f"axe.run({arguments})")["violations"]
    problems = [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found]
    assert problems == [], (page.url, problems)  # pytest tells nothing of an assertion outside tests by itself


def assert_nothing_is_cut_off(page: Page) -> None:
    """Tables scroll inside their own box; the page itself never sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


# Tables and texts that go over the edge of the screen, even where their box scrolls, and badges over that of their
# cell. Only the hours of a week scroll, beside their weekdays.
OVER_THE_EDGE = """
[
  ...[...document.querySelectorAll("main table:not(.heat), main table:not(.heat) :is(td, th), main pre")]
    .filter(one => one.checkVisibility() && one.getBoundingClientRect().right > window.innerWidth + 1
      && getComputedStyle(one.closest("thead") || one).clipPath === "none"),
  ...[...document.querySelectorAll(".state, .outcome, .action")].filter(badge =>
    badge.checkVisibility()
    && badge.getBoundingClientRect().right > badge.parentElement.getBoundingClientRect().right + 1),
].map(one => one.outerHTML.slice(0, 200))
"""


def assert_tables_fit(page: Page) -> None:
    """No part of a table is out of sight."""
    cut = page.evaluate(OVER_THE_EDGE)
    assert cut == [], (page.url, cut)


# Cards whose words are over the edge, and cells that do not say the head of their own column.
NOT_AS_CARDS = """
[...document.querySelectorAll(".cards table")].flatMap(table => {
  // Without a definition, which stands behind it.
  const heads = [...table.tHead.rows[0].cells].map(head => (head.firstChild || head).textContent.trim());
  const cells = [...table.tBodies[0].rows].flatMap(row => [...row.cells]);
  const wrong = cells.filter(cell =>
    cell.dataset.label ? cell.dataset.label !== heads[cell.cellIndex]
    : cell.tagName === "TD" && !cell.matches(".with-bar") && cell.offsetParent && !cell.querySelector("a"));
  const over = cells.filter(cell => cell.offsetParent && cell.getBoundingClientRect().right > window.innerWidth);
  return [...wrong, ...over].map(cell => `${heads[cell.cellIndex]}: ${cell.outerHTML.slice(0, 200)}`);
})
"""


def assert_wide_tables_are_cards(page: Page) -> None:
    """For a phone: every column of them is in sight, and says which it is."""
    wrong = page.evaluate(NOT_AS_CARDS)
    assert wrong == [], (page.url, wrong)


# What paper cannot show: boxes that hold more than is in sight, what is there to be pressed, and heads of nothing. Of a
# list of the admin's, the filters that are set stay.
NOT_FOR_PAPER = """
(() => {
  const pressed = "button, details:not([open]) > summary, nav, [type=submit], [type=button], "
    + ".button, .link-button, .submit-row, .object-tools, .related-widget-wrapper-link, .filters, "
    + "#header, .breadcrumbs, .tabs, .toggle";
  const boxes = ".table-box, .scrolls, pre, textarea, .results";
  const is_head = one => /^H[1-6]$/.test(one.tagName);
  return [...document.querySelectorAll("body *")].filter(one =>
    one.checkVisibility() && one.offsetHeight && !one.closest("#changelist-filter") && (one.matches(pressed)
    || one.matches(boxes) && (one.scrollHeight > one.clientHeight + 2 || one.scrollWidth > one.clientWidth + 2)
    || one.matches("main section") && [...one.children].filter(part => part.checkVisibility()).every(is_head)));
})().map(one => one.outerHTML.slice(0, 200))
"""


def assert_fit_for_paper(page: Page) -> None:
    wrong = page.evaluate(NOT_FOR_PAPER)
    assert wrong == [], (page.url, wrong)


# Filters that a phone does not fold, or that stand in several rows where there is room for one.
NOT_FOLDED = """
[...document.querySelectorAll("form.filters[method=get]")].filter(form =>
  [...form.children].some(part => part.checkVisibility() && part.tagName !== "DETAILS")
  || !form.querySelector(":scope > details > .row > .fields"))
  .map(one => one.outerHTML.slice(0, 200))
"""


def assert_filters_fold(page: Page) -> None:
    unfolded = page.evaluate(NOT_FOLDED)
    assert unfolded == [], (page.url, unfolded)


# Tables that are wider than their box, on a screen that has room for them.
SCROLLING = """
[...document.querySelectorAll(".table-box")].filter(box => box.scrollWidth > box.clientWidth + 1)
  .map(one => one.outerHTML.slice(0, 200))
"""


def assert_no_table_scrolls(page: Page) -> None:
    """Sideways, whatever names there are."""
    wide = page.evaluate(SCROLLING)
    assert wide == [], (page.url, wide)


def assert_heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
