"""`pixelis ask` and `pixelis ops` as a user runs them, against the real server."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner, Result

from clients import show
from clients.commands import pairs
from clients.connection import Protocol
from pixelis.cli import app
from pixelis.schema import Event, PipelineResult
from tests.clients.conftest import DEAD, picture
from tests.clients.test_media import write_video

run = CliRunner()


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "a.png"
    path.write_bytes(picture(1, size=(200, 100)))
    return str(path)


def pixelis(*words: str, stdin: bytes | None = None) -> Result:
    return run.invoke(app, list(words), input=stdin)


@pytest.mark.triton
def test_ask(url: str, protocol: Protocol, image: str, tmp_path: Path) -> None:
    saved = tmp_path / "out.png"
    done = pixelis("ask", image, "What?", "--url", url, "--protocol", protocol, "--save", str(saved))
    assert done.exit_code == 0, done.output
    for words in ("1 ZOOM_IN", "2 READ_TEXT", "What?", "confidence 0.750", "reason", "2.5 ms"):
        assert words in done.stdout
    assert Image.open(saved).height > 100


@pytest.mark.triton
def test_ask_json(url: str, protocol: Protocol, image: str) -> None:
    words = ["--option", "reference_answer=42", "--option", 'stop=["x"]', "--k", "2", "--timeout-s", "9"]
    done = pixelis("ask", image, image, "What?", "--json", "--url", url, "--protocol", protocol, *words)
    result = PipelineResult.model_validate_json(done.stdout)
    assert len(result.provenance.reasons) == 2
    options = json.loads(result.versions["options"])
    assert (options["k"], options["timeout_s"], options["reference_answer"], options["stop"]) == (2, 9, "42", ["x"])


@pytest.mark.triton
def test_a_video_is_sent_as_frames(url: str, protocol: Protocol, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 12, fps=6)
    common = ["--url", url, "--protocol", protocol, "--json"]
    asked = PipelineResult.model_validate_json(pixelis("ask", str(path), "Where?", *common).stdout)
    assert len(asked.provenance.reasons) == 12
    options = json.loads(asked.versions["options"])
    assert (options["media"], options["fps"]) == ("video", 6)
    slower = pixelis("ask", str(path), "Where?", "--fps", "2", *common)
    assert json.loads(PipelineResult.model_validate_json(slower.stdout).versions["options"])["fps"] == 2
    done = pixelis("ops", str(path), "TRACK_OBJECT", "init_bbox=1,2,30,40", "--image-index", "3", *common)
    found = json.loads(done.stdout)["result"]
    assert (found["fps"], found["index"], len(found["digests"])) == (6, 3, 12)
    zoomed = pixelis("ops", str(path), "ZOOM_IN", "region=1,2,30,40", *common)
    assert "fps" not in json.loads(zoomed.stdout)["result"]


def test_a_video_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    done = pixelis("ask", str(tmp_path / "clip.mp4"), "Where?", "--url", DEAD)
    assert done.exit_code == 1
    assert "not a video that can be decoded" in done.output
    assert pixelis("ask", "a.png", "Where?", "--media", "film").exit_code == 2


@pytest.mark.triton
def test_ask_stream(url: str, protocol: Protocol, image: str) -> None:
    common = ["--url", url, "--protocol", protocol, "--stream"]
    done = pixelis("ask", image, "What?", *common)
    assert done.exit_code == 0, done.output
    assert done.stdout.index("ZOOM_IN") < done.stdout.index("READ_TEXT") < done.stdout.index("confidence")
    done = pixelis("ask", image, "What?", "--json", *common)
    events = [Event.model_validate_json(line) for line in done.stdout.splitlines()]
    assert events[-1].result is not None
    assert events[-1].result.answer == "What?"


@pytest.mark.triton
def test_ask_reads_standard_input(url: str, protocol: Protocol) -> None:
    done = pixelis("ask", "-", "What?", "--url", url, "--protocol", protocol, stdin=picture())
    assert done.exit_code == 0, done.output


@pytest.mark.triton
def test_ops(url: str, protocol: Protocol, image: str, tmp_path: Path) -> None:
    common = ["--url", url, "--protocol", protocol]
    saved = tmp_path / "ops.jpg"
    words = ["read_text", "region=10,10,60,60", "return_boxes=true", "--save", str(saved)]
    done = pixelis("ops", image, *words, *common)
    assert done.exit_code == 0, done.output
    assert "READ_TEXT" in done.stdout
    assert Image.open(saved).format == "JPEG"
    done = pixelis(
        "ops", image, "ZOOM_IN", "--arguments", '{"region": [1, 2, 3, 4]}', "zoom_factor=2", "--json", *common
    )
    found = json.loads(done.stdout)["result"]
    assert (found["region"], found["zoom_factor"]) == ([1, 2, 3, 4], 2)
    done = pixelis("ops", image, "ZOOM_IN", "bad=1", *common)
    assert done.exit_code == 1
    assert "outside image bounds" in done.stdout


@pytest.mark.triton
def test_failures(url: str, protocol: Protocol, image: str) -> None:
    common = ["--url", url, "--protocol", protocol]
    done = pixelis("ask", image, "refuse", *common)
    assert done.exit_code == 1
    assert "Send JPEG, PNG or WebP." in done.stderr
    done = pixelis("ask", image, "refuse", "--json", *common)
    assert (done.exit_code, json.loads(done.stdout)["code"]) == (1, "invalid_image")
    done = pixelis("ask", image, "?", "--option", "ks=1", *common)
    assert done.exit_code == 1
    assert "Known keys" in done.stderr


def test_nobody_there(image: str) -> None:
    done = pixelis("ask", image, "?", "--url", DEAD)
    assert done.exit_code == 1
    assert "`pixelis serve`" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["ask", "a.png"],
        ["ask", "a.png", "?", "--option", "k"],
        ["ask", "a.png", "?", "--k", "999"],
        ["ops", "a.png"],
        ["ops", "a.png", "PAINT"],
        ["ops", "ZOOM_IN"],
        ["ops", "a.png", "ZOOM_IN", "--arguments", "["],
        ["ops", "a.png", "ZOOM_IN", "--arguments", "[1]"],
    ],
)
def test_wrong_usage(words: list[str]) -> None:
    assert pixelis(*words).exit_code == 2


def test_a_protocol_that_is_not_known(image: str) -> None:
    assert pixelis("ask", image, "?", "--protocol", "smoke").exit_code == 2


def test_a_file_that_is_not_there() -> None:
    done = pixelis("ask", "no-such.png", "?")
    assert done.exit_code == 1
    assert "no-such.png cannot be read" in done.stderr


@pytest.mark.parametrize("command", ["ask", "ops"])
def test_help_has_examples(command: str) -> None:
    done = pixelis(command, "--help")
    assert done.exit_code == 0
    assert f"pixelis {command} " in done.stdout


def test_values_of_words() -> None:
    words = ["a=1", "b=1,2.5", 'c={"d": []}', "e=x=y", "f=x,y", "g="]
    assert pairs(words) == {"a": 1, "b": [1, 2.5], "c": {"d": []}, "e": "x=y", "f": "x,y", "g": ""}
    assert pairs(["a=1"], {"a"}) == {"a": "1"}


def test_markup_in_answers_is_shown_as_it_is() -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    steps = show.Steps(console)
    steps.show(Event(event="token", text="[bold]x[/bold]"))
    show.call(console, 1, "READ_TEXT", {"text": "[red]"})
    assert isinstance(console.file, io.StringIO)
    assert "[bold]x[/bold]" in console.file.getvalue()
    assert '{"text": "[red]"}' in console.file.getvalue()


def test_a_call_that_could_not_be_read_is_shown() -> None:
    console = Console(file=io.StringIO(), width=200)
    show.Steps(console).show(Event(event="observation", step=1, text="No operation `PAINT`.", code="invalid_operation"))
    assert isinstance(console.file, io.StringIO)
    assert "No operation `PAINT`." in console.file.getvalue()


def test_a_place_to_save_at_is_looked_at_before_anything_is_asked(image: str) -> None:
    for words in (["ask", image, "?"], ["ops", image, "READ_TEXT"]):
        done = pixelis(*words, "--save", "steps.gif", "--json", "--url", DEAD)
        assert (done.exit_code, json.loads(done.stdout)["code"]) == (1, "invalid_request")


@pytest.mark.triton
def test_json_is_one_object_also_where_the_picture_cannot_be_saved(
    url: str, protocol: Protocol, image: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    saved = str(tmp_path / "file" / "steps.png")
    for words in (["ask", image, "?"], ["ops", image, "READ_TEXT", "region=1,2,3,4"]):
        done = pixelis(*words, "--save", saved, "--json", "--url", url, "--protocol", protocol)
        assert (done.exit_code, json.loads(done.stdout)["code"]) == (1, "invalid_request")


def test_timings_fit_an_ordinary_terminal() -> None:
    stages = {"prepare": 5.417, "recall": 36.4, "reason": 158.2, "total": 214.9}
    parts = {"recall.embed_image": 33.1, "recall.embed_text": 32.9, "recall.knn": 3.3, "reason.policy": 47.0}
    console = Console(file=io.StringIO(), width=80)
    console.print(show.timings(stages | parts))
    assert isinstance(console.file, io.StringIO)
    said = [line.split() for line in console.file.getvalue().splitlines()]
    assert said[0] == ["prepare", "5.4", "ms"]
    assert said[1] == ["recall", "36.4", "ms", "embed_image", "33.1,", "embed_text", "32.9,", "knn", "3.3"]
    assert len(said) == len(stages)


def test_words_that_nest_too_deeply_are_text() -> None:
    assert pairs(["a=" + "[" * 100_000]) == {"a": "[" * 100_000}
