"""Deliveries, sources, export and import, and what followed a session, in a real chromium."""

import json
import re
import time

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.reports import (
    LIGHT,
    PHONE,
    assert_accessible,
    assert_fit_for_paper,
    assert_nothing_is_cut_off,
    assert_tables_fit,
    follow,
    send,
    send_sessions,
)
from tests.browser.test_admin import begin, sign_in
from tests.browser.test_report_pages import now
from tests.builders import end_body
from tests.live import LiveServer, running_server
from tests.standins import HttpStandin, Received, Reply, http_standin

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]

ADMIN = "/admin/automations"
OUTGOING = {"OUTGOING_ALLOWED_HOSTS": "127.0.0.0/8", "OUTGOING_ALLOW_HTTP": "yes"}
SHOP = b'{"orders": [{"title": "Blue kettle"}], "order_count": 12}'


def answer(received: Received) -> Reply:
    """Of a shop that is asked, and of a help desk that makes tickets."""
    return Reply(body=SHOP) if received.method == "GET" else Reply(201, body=b'{"ticket": {"id": 4711}}')


@pytest.fixture(scope="module")
def receiver():
    with http_standin(answer) as standin:
        yield standin


@pytest.fixture(scope="module")
def server(database_name):
    with running_server(database_name, WEB_PROCESSES="1", **OUTGOING) as running:
        yield running


@pytest.fixture(scope="module")
def made(server, receiver) -> dict[str, int]:
    """The keys of what `what_follows` makes, by what it shows."""
    return make_all(server, receiver)


def make_all(server: LiveServer, receiver: HttpStandin) -> dict[str, int]:
    send_sessions(server, 9, open_ones=0)
    script = f"from tests.browser.what_follows import make_all; make_all({receiver.url!r})"
    return json.loads(server.manage("shell", "--no-imports", "-c", script))


@pytest.fixture(scope="module")
def cookies() -> list:
    """Of whoever signed in first: checking a password takes as long as it should."""
    return []


@pytest.fixture
def staff(page: Page, server, made, cookies) -> Page:
    """Signed in."""
    if cookies:
        page.context.add_cookies(cookies)
    else:
        sign_in(page, server)
        cookies += page.context.cookies()
    return page


def reload_until(page: Page, shown: Locator) -> None:
    """The worker is at it meanwhile."""
    for _ in range(40):
        if shown.count():
            return
        page.wait_for_timeout(200)
        page.reload()
    expect(shown).to_be_visible()


def state(page: Page, words: str) -> Locator:
    return page.locator(".field-state_in_words .state", has_text=words)


def test_the_list_of_deliveries_says_how_each_stands(staff: Page, server):
    staff.goto(f"{server.url}{ADMIN}/delivery/")
    for words, row in (
        ("Delivered", "4711 2 attempts Help desk A ticket for each call call-0"),
        ("Being sent", "Help desk A ticket for each call call-3"),
        ("May have been sent", "WhatsApp by LiveTok A ticket for each call call-6"),
        ("Skipped: too late", "Mails to sales A ticket for each call call-7"),
    ):
        staff.locator("#changelist-filter").get_by_role("link", name=words, exact=True).click()
        rows = staff.locator("#result_list tbody tr")
        expect(rows).to_have_count(1)
        expect(rows.locator(".state").first).to_have_text(words)
        assert " ".join(rows.inner_text().split()).endswith(row)
    staff.locator("#changelist-filter").get_by_role("link", name="Waiting", exact=True).click()
    expect(staff.get_by_role("row", name="call-5")).to_contain_text("1 attempt, next when the destination is resumed")
    expect(staff.get_by_role("row", name="call-4")).to_contain_text("1 attempt, next ")
    staff.get_by_role("textbox", name="Search").fill("call-5")
    staff.get_by_role("button", name="Search").click()
    expect(staff.locator("#result_list tbody tr")).to_have_count(1)


def test_one_delivery_shows_its_attempts_and_is_sent_again_both_ways(staff: Page, server, receiver, made):
    own = f"{server.url}{ADMIN}/delivery/{made['one']}"
    staff.goto(f"{own}/change/")
    expect(state(staff, "Failed")).to_be_visible()
    attempts = staff.get_by_role("group", name="Attempts, newest first").get_by_role("row")
    expect(attempts).to_have_count(3)
    expect(attempts.nth(1)).to_contain_text("422 Unprocessable")
    expect(attempts.nth(1)).to_contain_text("the e-mail address is not valid")
    expect(attempts.nth(2)).to_contain_text("503 Service Unavailable")
    assert "hunter2" not in staff.content()

    staff.get_by_role("link", name="Send again…").click()
    staff.get_by_label("Filled in again, with a new id.").check()
    staff.get_by_role("button", name="Send again").click()
    expect(staff.locator(".messagelist .success")).to_have_text("1 delivery is on the way again.")
    assert staff.url != f"{own}/change/"
    reload_until(staff, state(staff, "Delivered"))
    expect(staff.get_by_text("201 Created")).to_be_visible()
    expect(staff.locator(".field-kept").get_by_role("link", name="4711")).to_be_visible()
    assert json.loads(receiver.requests[-1].body) == {"ticket": {"subject": "Call from +15550000008", "minutes": 1.5}}

    staff.goto(f"{own}/again/")
    staff.get_by_label("The same, with the same id.").check()
    follow(staff.get_by_role("button", name="Send again"))
    reload_until(staff, state(staff, "Delivered"))
    assert staff.url == f"{own}/change/"
    expect(attempts).to_have_count(4)
    assert receiver.requests[-1].body == b'{"ticket": {"subject": "A call"}}'
    staff.get_by_role("link", name="Who sent it again").click()
    expect(staff.get_by_text("admin: Sent again, with the same id.")).to_be_visible()


def test_all_that_a_filter_finds_are_sent_again_both_ways(staff: Page, server, receiver):
    staff.goto(f"{server.url}{ADMIN}/delivery/?state=failed&q=")
    failed = staff.locator("#result_list tbody tr").count()
    assert failed >= 2
    for way in ("Filled in again, with a new id.", "The same, with the same id."):
        before = len(receiver.requests)
        staff.locator("#action-toggle").check()
        staff.get_by_label("Action:").select_option("Send the selected deliveries again")
        staff.get_by_role("button", name="Go").click()
        expect(staff.get_by_text(f"{failed} deliveries were chosen")).to_be_visible()
        staff.get_by_label(way).check()
        staff.get_by_role("button", name="Send again").click()
        expect(staff.locator(".messagelist .success")).to_have_text(f"{failed} deliveries are on the way again.")
        expect(staff.locator("#result_list tbody tr")).to_have_count(failed if way.startswith("Filled") else 0)
        give_up_at = time.monotonic() + 10
        while len(receiver.requests) < before + failed and time.monotonic() < give_up_at:
            time.sleep(0.1)
        assert len(receiver.requests) == before + failed


def test_a_source_is_added_tried_and_listed(staff: Page, server, receiver):
    staff.goto(f"{server.url}{ADMIN}/source/add/")
    staff.get_by_label("Name:").first.fill("Orders")
    staff.get_by_label("Address:").fill(f"{receiver.url}/orders/{{{{ customer.external_id }}}}")
    staff.get_by_label("Context:").fill("last_order = orders/0/title")
    staff.get_by_role("button", name="Save and continue editing").click()
    expect(staff.locator(".field-pointers .errorlist")).to_contain_text("starts with a slash")
    staff.get_by_label("Context:").fill("last_order = /orders/0/title\nvip = /vip")
    staff.get_by_role("button", name="Save and continue editing").click()
    expect(staff.locator(".messagelist .success")).to_be_visible()
    expect(staff.locator(".field-lately")).to_contain_text("None so far.")

    staff.get_by_role("link", name="Try it").click()
    staff.get_by_label("Number or external id:").fill("1001")
    staff.get_by_role("button", name="Ask").click()
    came = staff.get_by_role("region", name="What came")
    expect(came.get_by_role("row", name="Customer Ada Lovelace")).to_be_visible()
    expect(came.get_by_role("row", name="Status 200 OK")).to_be_visible()
    known = staff.get_by_role("region", name="What the agent would know of it")
    expect(known.get_by_role("row", name="last_order")).to_contain_text("Blue kettle")
    expect(known.get_by_role("row", name="Missing")).to_contain_text("/vip")
    staff.get_by_label("Number or external id:").fill("+15550001234")
    staff.get_by_role("button", name="Ask").click()
    expect(came.get_by_role("row", name="Customer none has this number or id")).to_be_visible()
    expect(came.get_by_role("row", name="Nothing, because")).to_be_visible()

    staff.get_by_role("navigation", name="Breadcrumbs").get_by_role("link", name="Sources").click()
    expect(staff.get_by_role("row", name="Orders")).to_contain_text("None so far.")
    expect(staff.get_by_role("row", name="Tickets")).to_contain_text("no answer within 300 ms")


def test_rules_are_exported_and_imported_with_a_preview(staff: Page, server):
    def choose(document):
        content = {"name": "rules.json", "mimeType": "application/json", "buffer": json.dumps(document).encode()}
        staff.get_by_label("File:").set_input_files(content)
        staff.get_by_role("button", name="Preview").click()

    staff.goto(f"{server.url}{ADMIN}/rule/")
    staff.get_by_role("link", name="Export and import").click()
    with staff.expect_download() as download:
        staff.get_by_role("link", name="Download the file").click()
    text = download.value.path().read_text()
    assert "hunter2" not in text
    document = json.loads(text)
    changed = next(rule for rule in document["rules"] if rule["name"] == "Long calls")
    changed["least_duration_seconds"] = "long"
    document["destinations"].append(
        {"name": "CRM", "kind": "http", "address": "https://crm.example.com/{{ secrets.path }}", "secrets": ["path"]}
    )

    choose(document)
    expect(staff.get_by_role("heading", name="Nothing was imported.")).to_be_visible()
    expect(staff.locator(".messagelist .error")).to_contain_text("Rule “Long calls”, least_duration_seconds: ")
    changed["least_duration_seconds"] = 300
    choose(document)
    planned = staff.get_by_role("group", name="What would change")
    expect(planned.get_by_role("row", name="CRM")).to_contain_text("new")
    expect(planned.get_by_role("row", name="Rule Long calls")).to_contain_text(
        "changed, off at least so long (seconds)"
    )
    expect(planned.get_by_role("row", name="VIP calls")).to_contain_text("unchanged")
    staff.get_by_role("button", name="Import").click()
    expect(staff.get_by_text("Imported: 1 new, 1 changed.")).to_be_visible()
    expect(staff.get_by_text("“CRM” still needs its secrets entered: path.")).to_be_visible()
    staff.goto(f"{server.url}{ADMIN}/rule/")
    expect(staff.get_by_role("row", name="Long calls A session ended").get_by_role("img", name="False")).to_be_visible()


def test_a_session_tells_what_followed_and_why_the_other_rules_did_not_fire(staff: Page, server):
    call = {"sessionId": "followed", "phoneNumber": "+15550009999"}
    begin(server, **call)
    send(server, end_body(**call, timestamp=now(), duration=45))
    staff.goto(f"{server.url}/reports/sessions/?period=7d")
    follow(staff.get_by_role("row", name="followed").get_by_role("link").first)
    rules = staff.get_by_role("region", name="Rules, and what they did")
    fired = rules.get_by_role("row", name="A ticket for each call")
    reload_until(staff, fired.get_by_text("Delivered"))
    expect(fired).to_contain_text("Yes")
    expect(fired.get_by_role("link", name="4711")).to_be_visible()
    for rule, because in (
        ("VIP calls", "It is of another tier."),
        ("Chats", "It is on another channel."),
        ("Once a week", "It was on another day of the week."),
        ("Denied callers", "It waits for this: a session was denied."),
        ("Very long calls", "It was shorter than the rule asks for, or has no duration."),
    ):
        expect(rules.get_by_role("row", name=rule)).to_contain_text(f"No {because}")
    fired.get_by_role("link", name="Help desk").click()
    expect(state(staff, "Delivered")).to_be_visible()


def test_a_rule_from_a_preset_to_the_answer_of_its_test(staff: Page, server, receiver):
    staff.goto(f"{server.url}{ADMIN}/destination/add/")
    staff.get_by_role("navigation", name="Presets").get_by_role("link", name="Signed webhook").click()
    staff.get_by_label("Name:").first.fill("Our program")
    staff.get_by_label("Address:").fill(f"{receiver.url}/hooks")
    staff.get_by_role("button", name="Save", exact=True).click()
    signing = staff.locator("#secret").inner_text()
    staff.get_by_role("main").get_by_role("link", name="Add a rule for it").last.click()
    staff.get_by_label("Name:", exact=True).fill("Tell our program")
    staff.get_by_label("When:").select_option("a session ended")
    staff.get_by_label("Keep from the answer:").first.fill("/ticket/id")
    staff.get_by_role("button", name="Save and continue editing").click()
    expect(staff.locator(".messagelist .success")).to_be_visible()

    staff.get_by_role("link", name="Preview and test").click()
    staff.get_by_label("Session:").fill("call-2")
    staff.get_by_role("button", name="Show").click()
    expect(staff.get_by_text("As it would go out for the session call-2.")).to_be_visible()
    expect(staff.get_by_label("What Our program gets")).to_contain_text('"number": "+15550000002"')
    follow(staff.get_by_role("button", name="Send a test to Our program"))
    reload_until(staff, state(staff, "Delivered"))
    expect(staff.locator(".field-state_in_words")).to_contain_text("It was sent as a test.")
    expect(staff.get_by_text("201 Created")).to_be_visible()
    expect(staff.get_by_text('{"ticket": {"id": 4711}}')).to_be_visible()
    expect(staff.locator(".field-kept")).to_contain_text("4711")
    first = receiver.requests[-1]
    assert json.loads(first.body)["data"]["session"]["id"] == "call-2"
    assert first.headers["webhook-signature"].startswith("v1,")
    assert signing not in staff.content()

    staff.get_by_role("link", name="Send again…").click()
    expect(staff.get_by_text("Not possible: It was a test")).to_be_visible()
    staff.get_by_label("The same, with the same id.").check()
    follow(staff.get_by_role("button", name="Send again"))
    reload_until(staff, staff.locator(".attempts tbody tr").nth(1))
    again = receiver.requests[-1]
    assert (again.body, again.headers["webhook-id"]) == (first.body, first.headers["webhook-id"])


def pages(made: dict[str, int]) -> list[str]:
    """Those of rules and destinations are looked at in `test_automations`."""
    deliveries = [f"delivery/{made[name]}/change/" for name in ("delivered", "paused", "unknown", "skipped")]
    again = [f"delivery/{made['unknown']}/again/", f"delivery/{made['delivered']}/history/"]
    sources = ["source/", f"source/{made['source']}/change/", f"source/{made['source']}/try/"]
    own = [f"{ADMIN}/{path}" for path in ("delivery/", *deliveries, *again, *sources, "import/")]
    return [*own, f"/reports/sessions/{made['session']}/"]


def fill_in(page: Page) -> None:
    """What a page shows once something was sent to it."""
    if page.url.endswith("/try/"):
        page.get_by_label("Number or external id:").fill("1001")
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_role("heading", name="What came")).to_be_visible()
    if page.url.endswith("/import/"):
        document = page.request.get(page.url.replace("/import/", "/export/")).json()
        document["rules"][0]["name"] = "Another one"
        content = {"name": "rules.json", "mimeType": "application/json", "buffer": json.dumps(document).encode()}
        page.get_by_label("File:").set_input_files(content)
        page.get_by_role("button", name="Preview").click()
        expect(page.get_by_role("heading", name="Nothing is imported yet.")).to_be_visible()


@pytest.mark.parametrize("context_options", [LIGHT, PHONE], ids=["desktop", "phone"])
def test_each_page_is_accessible_in_light_and_dark_and_fits(staff: Page, server, made, context_options, console_errors):
    is_phone = context_options is PHONE
    for path in pages(made):
        staff.goto(f"{server.url}{path}")
        fill_in(staff)
        assert_nothing_is_cut_off(staff)
        if is_phone and path.startswith(ADMIN):
            assert_tables_fit(staff)
        assert console_errors == [], path
        assert_accessible(
            staff,
        )
        if not is_phone:
            staff.emulate_media(color_scheme="dark")
            assert_accessible(staff, colours_alone=True)
            staff.emulate_media(color_scheme="light")
        console_errors.clear()  # axe adds a style of its own where a page has forms, and the policy blocks it


@pytest.mark.parametrize("context_options", [LIGHT], ids=["desktop"])
def test_every_page_of_the_admin_is_accessible_in_light_and_dark_and_fits_a_phone(staff: Page, server, console_errors):
    """Here, since this server has something on all of them."""
    script = "from tests.browser.admin_pages import complete_and_list; complete_and_list()"
    for address in json.loads(server.manage("shell", "--no-imports", "-c", script)):
        staff.goto(f"{server.url}{address}")
        expect(staff).to_have_title(re.compile("Frontdesk$"))
        assert console_errors == [], address
        assert_accessible(staff)
        staff.emulate_media(color_scheme="dark")
        assert_accessible(staff, colours_alone=True)
        staff.emulate_media(color_scheme="light")
        staff.set_viewport_size(PHONE["viewport"])
        assert_nothing_is_cut_off(staff)
        assert_tables_fit(staff)
        staff.set_viewport_size(LIGHT["viewport"])
        staff.emulate_media(media="print")
        assert_fit_for_paper(staff)
        staff.emulate_media(media="screen")
        console_errors.clear()  # axe adds a style of its own where a page has forms, and the policy blocks it
