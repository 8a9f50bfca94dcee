"""`python -m perf.page_picture URL PICTURE`: the gateway's page with an answer, for the documentation.

Of a running gateway before the default checkpoint; it wants Debian's chromium and playwright.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from pixelis.errors import SetupError

WIDTH, HEIGHT = 1100, 900
WAIT_MS = 60_000


def take(url: str, path: Path) -> None:
    """Ask the page's example of shapes twice, with neighbours and without, and keep what is seen.

    Raises:
        SetupError: there is no chromium.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise SetupError("There is no chromium.", mend="apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url)
        page.get_by_role("button", name="How many blue").click()
        page.get_by_label("Compare").check()
        page.locator("#settings-a").get_by_label("Caches").uncheck()
        page.locator("#settings-b").get_by_label("Caches").uncheck()
        page.locator("#settings-b").get_by_label("Neighbours").fill("0")
        page.get_by_role("button", name="Ask").click()
        for run in ("a", "b"):
            page.wait_for_selector(f"#run-{run} .result:not([hidden])", timeout=WAIT_MS)
        page.screenshot(path=path, full_page=True)
        browser.close()


if __name__ == "__main__":
    take(sys.argv[1], Path(sys.argv[2]))
