"""A member of staff at work in the admin, in a real chromium, with the content security policy on."""

import json
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.builders import begin_body

pytestmark = pytest.mark.serial


def sign_in(page: Page, server) -> None:
    page.goto(f"{server.url}/admin/")
    page.get_by_label("Name").fill(server.username)
    page.get_by_label("Password").fill(server.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()


def begin(server, **changes) -> dict:
    body = json.dumps(begin_body(timestamp=datetime.now(UTC).isoformat(), **changes)).encode()
    request = urllib.request.Request(
        f"{server.url}/webhooks/livetok", body, {"X-API-Key": server.webhook_key, "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def add_limit(page: Page, index: int, metric: str, amount: str) -> None:
    page.get_by_role("button", name="Add another Limit").click()
    page.locator(f"#id_limits-{index}-metric").select_option(metric)
    page.locator(f"#id_limits-{index}-period").select_option("day")
    page.locator(f"#id_limits-{index}-amount").fill(amount)


def choose(page: Page, field: str, text: str) -> None:
    """Pick from a field that searches as one types."""
    page.locator(f".field-{field} .select2-selection").click()
    page.locator(".select2-search__field").fill(text)
    page.locator(".select2-results__option", has_text=text).click()


def test_what_staff_set_holds_from_the_very_next_begin(page: Page, live_server_process):
    server = live_server_process
    sign_in(page, server)

    page.goto(f"{server.url}/admin/customers/tier/add/")
    page.get_by_label("Name:").press_sequentially("Premium")
    expect(page.get_by_label("Slug:")).to_have_value("premium")
    page.get_by_label("Key 1").fill("custom_field")
    page.get_by_label("Value 1").fill("value")
    add_limit(page, 0, "messages", "100")
    add_limit(page, 1, "call_minutes", "60")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist .success")).to_be_visible()

    page.goto(f"{server.url}/admin/customers/customer/add/")
    page.get_by_label("Name:").fill("Ada")
    choose(page, "tier", "Premium")
    for index, number in enumerate(["+1234567890", "+44 20 7946 0958"]):
        page.get_by_role("button", name="Add another Phone number").click()
        page.locator(f"#id_numbers-{index}-number").fill(number)
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("no country's numbering plan")).to_be_visible()
    expect(page.locator("table.limits")).to_contain_text("Call minutes a day")

    answer = begin(server, sessionId="first")
    assert answer["limits"] == {"dailyMessageLimit": 100, "dailyCallMinutes": 60}
    assert answer["context"]["custom_field"] == "value"

    friday = datetime.now(UTC) + timedelta(days=(4 - datetime.now(UTC).weekday()) % 7 or 7)
    page.get_by_role("button", name="Add another Override").click()
    page.locator("#id_overrides-0-metric").select_option("call_minutes")
    page.locator("#id_overrides-0-period").select_option("day")
    page.locator("#id_overrides-0-amount").fill("90")
    page.locator("#id_overrides-0-valid_until_0").fill(f"{friday:%Y-%m-%d}")
    page.locator("#id_overrides-0-valid_until_1").fill("00:00:00")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator("table.limits")).to_contain_text("instead of 60 from tier Premium")

    assert begin(server, sessionId="second")["limits"]["dailyCallMinutes"] == 90
    assert begin(server, sessionId="third", phoneNumber="+442079460958")["limits"]["dailyCallMinutes"] == 90

    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("heading", name="Limit override: 90 call minutes a day")).to_be_visible()


@pytest.mark.only("sqlite")
def test_a_key_is_made_and_its_secret_shown_once(page: Page, live_server_process):
    sign_in(page, live_server_process)
    page.goto(f"{live_server_process.url}/admin/customers/apikey/add/")
    page.get_by_label("Name:").fill("CRM")
    page.get_by_label("read", exact=True).check()
    page.get_by_role("button", name="Save").click()
    secret = page.locator("#secret").inner_text()
    assert secret.startswith("fd_")
    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_role("link", name="CRM")).to_be_visible()
    assert secret not in page.content()


@pytest.mark.only("sqlite")
def test_customers_are_imported_with_a_preview(page: Page, live_server_process):
    sign_in(page, live_server_process)
    page.goto(f"{live_server_process.url}/admin/customers/customer/")
    page.get_by_role("link", name="Import", exact=True).click()
    content = "external_id,name,tier,numbers\ncrm-7,Grace,standard,+1 555 000 7777\n"
    page.locator("#id_import_file").set_input_files(
        {"name": "crm.csv", "mimeType": "text/csv", "buffer": content.encode()}
    )
    expect(page.locator("#id_format")).to_have_value("0")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("1 new, 0 changed, 0 unchanged.")).to_be_visible()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("Import finished: 1 new")).to_be_visible()
    page.get_by_role("textbox", name="Search").fill("555 000 7777")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("link", name="Grace")).to_be_visible()


@pytest.mark.only("sqlite")
def test_a_customer_is_found_and_paused_from_the_keyboard(page: Page, live_server_process):
    begin(live_server_process, sessionId="keyboard", phoneNumber="+15550005555")
    sign_in(page, live_server_process)
    page.goto(f"{live_server_process.url}/admin/customers/customer/")
    page.locator("#searchbar").focus()
    page.keyboard.type("+1 555 000 5555")
    page.keyboard.press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.locator("#result_list tbody a").first.focus()
    page.keyboard.press("Enter")
    page.get_by_label("Active").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist .success")).to_be_visible()
    assert begin(live_server_process, sessionId="again", phoneNumber="+15550005555")["allowed"] is False
