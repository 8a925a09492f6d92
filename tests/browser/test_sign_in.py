"""Signing in, in a real chromium: a fresh account that must set up a second factor, keys, being locked out, OIDC."""

import shutil
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reports import follow
from tests.browser.test_home import look_at
from tests.live import LiveServer, running_server
from tests.standin_issuer import StandinIssuer, standin_issuer
from tests.test_second_factors import code_at

pytestmark = [pytest.mark.serial, pytest.mark.only("sqlite")]

OWN = "/accounts/second-factor/"
# Of this machine, as those of phones and laptops are.
KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[StandinIssuer]:
    with standin_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def server(issuer: StandinIssuer) -> Iterator[LiveServer]:
    with running_server("sqlite", WEB_PROCESSES="1", REQUIRE_MFA="yes", **issuer.environment()) as server:
        server.url = server.url.replace("127.0.0.1", "localhost")  # keys belong to names
        yield server


def sign_in(page: Page, server: LiveServer, password: str = "") -> None:
    page.get_by_label("Name").fill(server.username)
    page.get_by_label("Password").fill(password or server.password)
    follow(page.get_by_role("button", name="Sign in", exact=True))


def sign_out(page: Page) -> None:
    follow(page.get_by_role("button", name="Sign out", exact=True).first)


def test_a_fresh_account_sets_up_an_app_and_a_passkey_and_signs_in_by_each(
    page: Page, server: LiveServer, console_errors: list[str]
):
    page.goto(f"{server.url}/admin/")
    look_at(page)
    sign_in(page, server)
    expect(page.get_by_text("Set up a second factor first")).to_be_visible()
    page.goto(f"{server.url}/reports/")
    page.wait_for_url(f"**{OWN}")
    look_at(page)

    follow(page.get_by_role("link", name="Set up an app"))
    look_at(page)
    page.get_by_label("Password").fill(server.password)
    follow(page.get_by_role("button", name="Go on"))
    look_at(page)
    secret = page.locator("code").inner_text()
    page.get_by_label("Code").fill(code_at(secret, time.time()))
    page.get_by_role("button", name="Set up").click()
    expect(page.locator(".codes code")).to_have_count(10)
    look_at(page)
    recovery_code = page.locator(".codes code").first.inner_text()

    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
    page.get_by_role("link", name="Done").click()
    follow(page.get_by_role("link", name="Add a key"))
    look_at(page)
    page.get_by_label("Sign in with it alone").check()
    page.get_by_role("button", name="Add").click()
    page.get_by_role("link", name="See it").click()
    expect(page.get_by_text("Passkey: no password needed")).to_be_visible()
    look_at(page)
    for path in ("/accounts/sessions/", "/accounts/password/"):
        page.goto(server.url + path)
        look_at(page)

    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    page.goto(f"{server.url}/admin/config/signinevent/")
    expect(page.get_by_role("cell", name="passkey", exact=True)).to_be_visible()
    look_at(page)

    sign_out(page)
    sign_in(page, server)
    page.get_by_label("Code").fill("1")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("The code is wrong, or used up.")).to_be_visible()
    look_at(page)
    page.get_by_role("button", name="Use a key instead").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()

    sign_out(page)
    for _ in range(6):
        sign_in(page, server, "a wrong one")
    expect(page.get_by_text("Too many wrong passwords. Wait 5 minutes")).to_be_visible()
    look_at(page)
    sign_in(page, server)
    expect(page.get_by_text("Too many wrong passwords.")).to_be_visible()
    shutil.rmtree(server.folder / "cache")  # as docs/operations.md says
    sign_in(page, server)
    # The code of the half minute that comes: the phone's clock may be ahead, and the one of now may be used up.
    page.get_by_label("Code").fill(code_at(secret, time.time() + 30))
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    sign_out(page)
    sign_in(page, server)
    page.get_by_label("Code").fill(recovery_code)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()


def test_the_issuer_lets_in_whom_its_groups_and_factors_let_in(
    page: Page, server: LiveServer, issuer: StandinIssuer, console_errors: list[str]
):
    issuer.person |= {"groups": ["others"], "amr": ["pwd", "mfa"]}
    page.goto(f"{server.url}/reports/sessions/")
    page.get_by_role("link", name="Sign in with Example").click()
    expect(page.get_by_text("None of your groups may use Frontdesk.")).to_be_visible()
    look_at(page)
    console_errors.clear()  # of the page's status
    issuer.person["groups"] = ["support"]
    page.goto(f"{server.url}/reports/sessions/")
    page.get_by_role("link", name="Sign in with Example").click()
    page.wait_for_url("**/reports/sessions/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
