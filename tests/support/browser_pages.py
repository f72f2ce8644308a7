"""A real browser for the tests of pages: Debian's Chromium, headless, driven by Playwright; pages open from disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium as the system has it; Playwright's own download is not used."""
    api = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        # Root in a container has no sandbox; films play without a click, as in a reader's own settings.
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        chromium = playwright.chromium.launch(executable_path=found, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A tab in which every word in the console, every error and every request over a network is a failure."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    messages: list[str] = []
    tab.on("console", lambda message: messages.append(message.text))
    tab.on("pageerror", lambda error: messages.append(str(error)))
    tab.on("request", lambda request: request.url.startswith("http") and messages.append(request.url))
    yield tab
    assert messages == []
    context.close()


def open_film(page: Any, report: Path, name: str) -> None:
    page.goto(f"{(report / 'index.html').as_uri()}#film={quote(name)}")
    page.wait_for_selector("#chart-arousal canvas")


def wait_until(page: Any, condition: str) -> None:
    """Waits until it holds. Playwright's own waiting evaluates strings, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def shown_names(page: Any) -> list[str]:
    """Names of the rows in the list, from top to bottom."""
    return page.evaluate(
        """() => [...document.querySelectorAll("#list .row")]
             .sort((a, b) => a.ariaPosInSet - b.ariaPosInSet).map((row) => row.querySelector(".title").textContent)"""
    )


def second(page: Any) -> int:
    return int(page.get_attribute("#timeline", "aria-valuenow"))


def playhead_s(page: Any, chart: str = "valence", duration_s: float = 40) -> float:
    """Where the cursor of a chart stands, read from its place on the screen."""
    return page.evaluate(
        """([chart, duration]) => {
             const over = document.querySelector(`#chart-${chart} .u-over`).getBoundingClientRect();
             const line = document.querySelector(`#chart-${chart} .playhead`).getBoundingClientRect();
             return ((line.left + line.width / 2 - over.left) / over.width) * duration;
           }""",
        [chart, duration_s],
    )
