"""A real chromium. Any console error or breach of the content security policy fails the test that meets it."""

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.chromium import chromium_path

REPORT_BREACHES = """
document.addEventListener("securitypolicyviolation", event => console.error(
    `content security policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`
));
"""


@pytest.fixture(scope="session")
def browser():
    path = chromium_path()  # asks playwright too, so it comes first: one synchronous playwright at a time
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def web_processes() -> int:
    """One person's clicks need no second one, which takes as long to start as the first."""
    return 1


@pytest.fixture
def context_options() -> dict[str, object]:
    """Override or parametrize it for a dark scheme or a phone's width."""
    return {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}}


@pytest.fixture
def context(browser: Browser, context_options: dict[str, object]):
    context = browser.new_context(**context_options)
    context.set_default_timeout(10_000)
    context.add_init_script(REPORT_BREACHES)
    yield context
    context.close()


@pytest.fixture
def console_errors() -> list[str]:
    """What the page's console has complained of. A test that expects a complaint clears it."""
    return []


@pytest.fixture
def page(context: BrowserContext, console_errors: list[str]):
    page = context.new_page()
    watch(page, console_errors)
    yield page
    page.close()
    assert console_errors == []


def watch(page: Page, errors: list[str]) -> None:
    """Collect the page's console errors and uncaught exceptions."""

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
