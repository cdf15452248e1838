"""The system's Chromium, driven by playwright; no browser is ever downloaded."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE = {"width": 1240, "height": 900}
PHONE = {"width": 390, "height": 844}


def chromium() -> str | None:
    """Return the browser's path: of STREAMS_TEST_CHROMIUM, else where systems put it."""
    named = os.environ.get("STREAMS_TEST_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")


def why_not() -> str:
    """Return why no browser test can run here; empty where they can."""
    if chromium() is None:
        return "there is no chromium: apt-get install chromium"
    if find_spec("playwright") is None or find_spec("axe_playwright_python") is None:
        return "playwright or axe is not installed: make install"
    return ""


needs_browser = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a browser is there")


@asynccontextmanager
async def browser() -> AsyncIterator[Any]:
    """Yield a browser of its own, with a profile that is thrown away."""
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        started = await driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield started
        finally:
            await started.close()


def axe() -> str:
    """Return axe-core's script, to be evaluated: the page's policy forbids foreign scripts."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


class Tab:
    """One page and everything that went wrong in it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.problems: list[str] = []
        self.hosts: set[str] = set()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note)
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def _note(self, message: Any) -> None:
        # A server that is away is part of some tests; what the page itself does wrong is not.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    async def open(self, url: str) -> None:
        """Go there and wait for the first view."""
        await self.page.goto(url)
        await self.page.wait_for_selector("article.vendor")

    async def log_in(self, url: str, token: str) -> None:
        """Go there, give the token and wait for the first view."""
        await self.page.goto(url)
        await self.page.fill("#token", token)
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_selector("article.vendor")

    async def barriers(self) -> list[str]:
        """Return what axe-core finds on the page as it is now: rule, impact and element."""
        found = await self.page.evaluate(f"{axe()}; axe.run().then(r => r.violations)")
        return [
            f"{rule['id']} ({rule['impact']}): {node['html'][:120]}"
            for rule in found
            for node in rule["nodes"]
        ]

    async def text(self, selector: str) -> str:
        """Return what is shown of an element."""
        return str(await self.page.inner_text(selector))

    async def shows(self, selector: str, text: str) -> None:
        """Wait until an element shows this text."""
        await self.page.wait_for_function(
            "([selector, text]) => document.querySelector(selector)?.innerText.includes(text)",
            arg=[selector, text],
        )


@asynccontextmanager
async def tab(
    started: Any,
    *,
    size: dict[str, int] | None = None,
    scheme: str = "light",
    motion: str = "reduce",
    zone: str | None = None,
) -> AsyncIterator[Tab]:
    """Yield a page in a context of its own; when it ends nothing may have gone wrong in it."""
    context = await started.new_context(
        viewport=size or WIDE, color_scheme=scheme, reduced_motion=motion, timezone_id=zone
    )
    context.set_default_timeout(15_000)
    found = Tab(await context.new_page())
    try:
        yield found
        assert found.problems == []
    finally:
        await context.close()
