"""A real browser."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.tools import needed

_CHROMIUM = "/usr/bin/chromium"
_QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    path = needed(_CHROMIUM)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_QUIET)
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page; afterwards it must not have had a fault."""
    page = await browser.new_page(viewport={"width": 1100, "height": 420})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(error.message))
    yield page
    assert faults == []
