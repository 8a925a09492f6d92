"""What if Free had 25 minutes, last month? From home to who would have been let in, and into force, in chromium."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reports import assert_heading, assert_tables_fit, follow, open_page, send
from tests.browser.test_home import look_at
from tests.builders import begin_body, end_body
from tests.live import LiveServer

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]

NUMBER = "+15550002626"
MADE = f"""
from customers.models import Customer, Tier, TierLimit
tier = Tier.objects.create(name="Free", slug="free-replayed")
TierLimit.objects.create(tier=tier, metric="call_minutes", period="day", amount=20)
Customer.objects.filter(numbers__key="{NUMBER}").update(name="Grace", tier=tier)
"""


def call(server: LiveServer, session_id: str, at: datetime, minutes: int) -> None:
    caller = {"sessionId": session_id, "phoneNumber": NUMBER, "kind": "telephony"}
    send(server, begin_body(**caller, timestamp=at.isoformat()))
    if minutes:
        end = at + timedelta(minutes=minutes)
        send(server, end_body(**caller, timestamp=end.isoformat(), duration=60 * minutes))


def test_what_if_free_had_25_minutes_is_answered_from_home_and_put_into_force(
    page: Page, live_server_process: LiveServer, console_errors: list[str]
):
    server = live_server_process
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
    call(server, "first contact", noon - timedelta(days=40), 1)
    server.manage("shell", "--no-imports", "-c", MADE)
    for day in range(3):
        at = noon - timedelta(days=day)
        call(server, f"first-{day}", at, 12)
        call(server, f"second-{day}", at + timedelta(hours=1), 12)
        call(server, f"denied-{day}", at + timedelta(hours=2), 0)
    open_page(page, server, "live/")

    def look() -> None:
        assert console_errors == [], page.url
        look_at(page)
        console_errors.clear()  # axe adds a style of its own where a page has forms, and the policy blocks it

    # From home: the tier, its draft, 25 minutes, the last 30 days.
    page.goto(f"{server.url}/admin/")
    follow(page.get_by_role("navigation", name="Main").get_by_role("link", name="Tiers"))
    follow(page.get_by_role("link", name="Free", exact=True))
    follow(page.get_by_role("button", name="Try other limits as a draft"))
    look()
    page.locator("input[name$='-amount']").first.fill("25")
    follow(page.get_by_role("button", name="Replay the last 30 days"))
    assert_heading(page, "Draft of Free, the last 30 days")
    # The worker of the server does it, and the page shows it without being reloaded.
    sentence = re.compile(
        "With this draft, 3 sessions of 1 customer would have been let in that today's limits deny: "
        "about 36 call minutes more."
    )
    expect(page.get_by_text(sentence)).to_be_visible(timeout=30_000)
    expect(page.locator("progress")).to_have_count(0)
    expect(page.locator("[data-live-pause]")).to_be_hidden()
    expect(page.get_by_role("region", name="Customers touched most")).to_contain_text("Grace")
    expect(page.get_by_role("region", name="Limits now and of this draft")).to_contain_text("25 call minutes a day")
    expect(
        page.get_by_role("region", name="Sessions decided otherwise").get_by_text("Would have been let in")
    ).to_have_count(3)
    look()
    page.set_viewport_size({"width": 360, "height": 740})
    assert_tables_fit(page)
    page.set_viewport_size({"width": 1280, "height": 900})

    # Who it was: a session, and back.
    follow(
        page.get_by_role("region", name="Sessions decided otherwise")
        .get_by_role("link", name=re.compile("14:00:00"))
        .first
    )
    expect(page.get_by_role("heading", level=1)).to_contain_text("Session denied-")
    page.go_back()

    # A smaller draft, from there: its result takes the place of the old one.
    follow(page.get_by_role("link", name="Change or put into force…"))
    expect(page.get_by_role("link", name="The last 30 days")).to_be_visible()
    look()
    page.locator("input[name$='-amount']").first.fill("10")
    follow(page.get_by_role("button", name="Replay the last 30 days"))
    expect(page.get_by_text("3 sessions of 1 customer would have been denied")).to_be_visible(timeout=30_000)

    # And into force, from a day on.
    follow(page.get_by_role("link", name="Change or put into force…"))
    page.locator("input[name$='-amount']").first.fill("25")
    page.locator("input[name=starts_at_0]").fill("2031-12-01")
    page.locator("input[name=starts_at_1]").fill("00:00:00")
    follow(page.get_by_role("button", name="Save"))
    expect(page.get_by_text("Free has these limits from Mon 1 Dec 2031, 00:00:00.")).to_be_visible()
    follow(page.get_by_role("link", name="The last 30 days"))
    expect(page.get_by_text("Change or tier were changed since.")).to_be_visible()
    follow(page.get_by_role("button", name="Replay again"))
    expect(page.get_by_text("With this change, 3 sessions of 1 customer would have been let in")).to_be_visible(
        timeout=30_000
    )
    look()
