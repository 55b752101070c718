"""The `page` fixture: a tab of the real Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.servers.registry import note, unavailable

# --no-sandbox: tests run as root in containers. The rest keeps it from talking to anyone but us.
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium_path() -> str | None:
    """Where the system's Chromium is, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def chromium(pytestconfig: pytest.Config) -> str:
    """The path of a Chromium."""
    path = chromium_path()
    if path is None:
        unavailable(pytestconfig, "chromium", "not installed (Debian: apt-get install chromium)")
    return path


@pytest.fixture(scope="module")
def browser(chromium: str, pytestconfig: pytest.Config) -> Iterator[Browser]:
    """A headless Chromium for the tests of one file: Playwright's loop shadows asyncio, so it must not outlive them."""
    began = time.monotonic()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        note(
            pytestconfig,
            "chromium",
            f"started Chromium {started.version} in {time.monotonic() - began:.1f} s",
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab, 1280 × 800, with no cookies."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()
