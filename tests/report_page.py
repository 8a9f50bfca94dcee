"""A report in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

needs_browser = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="there is no chromium (apt-get install chromium)"
)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The page; in the end it has said nothing on its console, and asked for nothing but itself."""
    playwright = pytest.importorskip("playwright.sync_api")
    said: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if path.name not in request.url else None)
        page.goto(f"file://{path}")
        yield page
        browser.close()
    assert said == []
