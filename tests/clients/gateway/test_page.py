"""The page for people, driven in Debian's chromium before the echoing Triton."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from clients.gateway import keys
from tests.clients.conftest import picture
from tests.clients.gateway.conftest import PORT, Served

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium (apt-get install chromium)"),
]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
HOME = f"http://127.0.0.1:{PORT}/"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page that may say nothing to the console, and ask nobody but its gateway."""
    context = chromium.new_context(accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    made = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    made.on("pageerror", lambda error: said.append(str(error)))
    made.on("console", lambda message: said.append(message.text) if "Content Security" in message.text else None)
    made.on("request", lambda request: asked.append(request.url))
    yield made
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((HOME, "data:", "blob:"))] == []


WIDER = """[...document.querySelectorAll('main *')]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll'))
  .map((one) => one.outerHTML.slice(0, 80))"""
"""What reaches beyond the window."""


def ask(page: Any, question: str, tmp_path: Path, size: tuple[int, int] = (64, 48)) -> None:
    path = tmp_path / "mine.png"
    path.write_bytes(picture(1, size=size))
    page.goto(HOME)
    page.get_by_label("Picture").set_input_files(path)
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask").click()


def test_an_upload_is_answered_step_by_step_with_its_regions(
    gateway: uvicorn.Server, page: Any, tmp_path: Path
) -> None:
    ask(page, "Wörter <b>?", tmp_path)
    page.wait_for_selector("#run-a .result:not([hidden])")
    assert page.inner_text("#run-a .answer") == "Wörter <b>?"
    assert page.locator("#run-a .steps li").count() == 2
    assert page.locator("#run-a .steps .crop").count() == 2
    boxes = page.locator('#run-a svg .mark[data-step="1"] > g > rect[stroke="#e69f00"]')
    assert [boxes.first.get_attribute(name) for name in ("x", "y", "width", "height")] == ["4", "4", "36", "26"]
    assert page.locator("#run-a svg").get_attribute("viewBox") == "0 0 64 48"
    assert "reason 2.5 ms" in page.locator("#run-a .waterfall").get_attribute("aria-label")
    page.locator("#run-a .steps .name").nth(1).focus()
    assert page.locator("#run-a svg .mark.shown").get_attribute("data-step") == "2"


def test_an_example_is_asked_by_the_keyboard_alone(gateway: uvicorn.Server, page: Any) -> None:
    page.goto(HOME)
    for _ in range(12):
        page.keyboard.press("Tab")
        if "blue" in page.evaluate("document.activeElement.textContent"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_label("Question")).to_be_focused()
    expect(page.get_by_label("Question")).not_to_have_value("")
    page.keyboard.press("Enter")
    page.wait_for_selector("#run-a .result:not([hidden])")
    assert page.inner_text("#run-a .answer") == "How many blue shapes does the image show?"


def test_two_settings_are_compared(gateway: uvicorn.Server, page: Any, tmp_path: Path) -> None:
    bodies: list[dict[str, Any]] = []
    page.on("request", lambda request: bodies.append(request.post_data_json) if "/infer" in request.url else None)
    page.goto(HOME)
    page.get_by_label("Compare").check()
    page.locator("#settings-b").get_by_label("Neighbours").fill("0")
    page.locator("#settings-b").get_by_label("Caches").uncheck()
    page.locator("#settings-b").get_by_label("Learn nothing").uncheck()
    path = tmp_path / "mine.png"
    path.write_bytes(picture(1))
    page.get_by_label("Picture").set_input_files(path)
    page.get_by_label("Question").fill("?")
    page.get_by_role("button", name="Ask").click()
    for run in ("a", "b"):
        page.wait_for_selector(f"#run-{run} .result:not([hidden])")
    said = [{name: value for name, value in body.items() if name not in ("images", "question")} for body in bodies]
    assert said == [{"stream": True}, {"k": 0, "use_cache": False, "read_only": False, "stream": True}]
    assert page.locator("#run-a").get_by_role("button", name="Right").count() == 0
    page.locator("#run-b").get_by_role("button", name="Right").click()
    expect(page.locator("#run-b .said")).to_contain_text("takes feedback")


def test_an_answer_is_shared_as_a_page_of_its_own_and_as_commands(
    gateway: uvicorn.Server, page: Any, tmp_path: Path
) -> None:
    ask(page, "It's?", tmp_path)
    page.wait_for_selector("#run-a .result:not([hidden])")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as a page").click()
    text = Path(saved.value.path()).read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|src=\"(?!data:)", text)
    assert text.count("data:image/png;base64,") == 3  # the picture and what two steps looked at
    for name, words in (("Copy as curl", "-F question='It'\\''s?'"), ("Copy as Python", '"question": "It\'s?"')):
        page.get_by_role("button", name=name).click()
        expect(page.locator("#run-a .said")).to_have_text("Copied.")
        assert words in page.evaluate("navigator.clipboard.readText()")
    compile(page.evaluate("navigator.clipboard.readText()"), "snippet", "exec")


def test_what_fails_is_said_and_what_runs_can_be_stopped(gateway: uvicorn.Server, page: Any, tmp_path: Path) -> None:
    page.goto(HOME)
    page.get_by_label("Question").fill("?")
    page.get_by_role("button", name="Ask").click()
    assert "Choose a picture" in page.inner_text("[role=alert]")
    ask(page, "refuse", tmp_path)
    page.wait_for_selector("#run-a .answer.failed")
    assert "not a picture" in page.inner_text("#run-a .answer")
    ask(page, "forever", tmp_path)
    expect(page.locator("#run-a .writing")).to_contain_text("xxx")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("#run-a .answer.failed")
    assert page.inner_text("#run-a .answer") == "Stopped."


def test_a_key_is_asked_for(gateways: Served, page: Any, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = keys.add(path, "alice", None, None)
    with gateways(keys=path):
        ask(page, "?", tmp_path)
        page.wait_for_selector("#run-a .answer.failed")
        assert "no API key" in page.inner_text("#run-a .answer")
        page.get_by_label("Kept in this tab").fill(key)
        page.get_by_role("button", name="Ask").click()
        page.wait_for_selector("#run-a .result:not([hidden])")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(gateway: uvicorn.Server, page: Any, tmp_path: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 800})
    ask(page, "?", tmp_path)
    page.wait_for_selector("#run-a .result:not([hidden])")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
    assert page.evaluate(WIDER) == []
