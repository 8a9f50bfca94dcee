"""Answers as a notebook shows them."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from clients import Answer, PixelisClient
from pixelis.schema import Action, PipelineResult, Provenance
from tests.clients.conftest import picture

NASTY = "<script>alert('x')</script> & \"quoted\" <img src=x onerror=alert(1)>"
TAGS = {"div", "p", "b", "span", "img", "ol", "li", "code", "br"}


class Seen(HTMLParser):
    """Tags, their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def result(**fields: object) -> PipelineResult:
    told = {
        "request_id": "r",
        "answer": "red",
        "confidence": 0.75,
        "trajectory": [],
        "reward": None,
        "provenance": Provenance(agent_answer="red", agent_confidence=0.75),
        "timings_ms": {},
        "versions": {},
    }
    return PipelineResult.model_validate(told | fields)


def test_whatever_is_said_is_text() -> None:
    steps = [
        Action(type="VISUAL_OPERATION", operation="READ_TEXT", arguments={NASTY: NASTY}, result={"text": NASTY}),  # type: ignore[arg-type]
        Action(type="VISUAL_OPERATION", operation="ZOOM_IN", error=NASTY),  # type: ignore[arg-type]
    ]
    told = Provenance(agent_answer=NASTY, agent_confidence=0.5, reasons=[NASTY], reason=NASTY, decided_by=NASTY)
    page = Answer.of(result(answer=NASTY, trajectory=steps, provenance=told), [picture()])._repr_html_()
    seen = Seen(page)
    assert {tag for tag, _ in seen.tags} <= TAGS
    assert {name for _, attributes in seen.tags for name in attributes} == {"style", "alt", "src"}
    assert seen.text.count(NASTY) >= 3
    assert "<script" not in page


def test_what_was_looked_at_is_on_the_picture() -> None:
    plain = picture(1, size=(800, 200))
    step = Action(type="VISUAL_OPERATION", operation="READ_TEXT", arguments={"region": [100, 50, 700, 150]})  # type: ignore[arg-type]
    pages = [Answer.of(result(trajectory=steps), [plain])._repr_html_() for steps in ([], [step])]
    shown = []
    for page in pages:
        (coded,) = re.findall(r"src='data:image/jpeg;base64,([^']+)'", page)
        shown.append(Image.open(io.BytesIO(base64.b64decode(coded))))
    assert shown[0].width == shown[1].width == 640
    assert shown[0].tobytes() != shown[1].tobytes()


def test_pictures_that_are_not_at_hand_or_broken_are_left_out() -> None:
    assert "<img" not in Answer.of(result())._repr_html_()
    assert "<img" not in Answer.of(result(), [b"no picture"])._repr_html_()
    assert Answer.of(result(), [picture(i) for i in range(9)])._repr_html_().count("<img") == 4


def test_an_answer_is_the_result_that_it_was_made_of() -> None:
    plain, answer = result(), Answer.of(result(), [picture()])
    assert answer == plain
    assert plain == answer
    assert answer != result(answer="blue")
    assert answer.model_dump_json() == plain.model_dump_json()
    assert PipelineResult.model_validate_json(answer.model_dump_json()) == answer


@pytest.mark.triton
def test_what_a_server_answers_is_shown(client: PixelisClient, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture(3))
    page = client.ask(path, "What?")._repr_html_()
    assert {"What?", "READ_TEXT"} <= set(re.split(r"[<>]", page))
    assert page.count("<img") == 1
