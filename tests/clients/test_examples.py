"""The examples, as somebody would run them, before a real Triton that echoes."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import clients.examples
from server.embedded import EmbeddedTriton
from tests.clients.conftest import DEAD, picture
from tests.clients.gateway.conftest import PORT, running

pytestmark = pytest.mark.triton

FOLDER = Path(clients.examples.__file__).parent
Run = Callable[..., str]


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "a.png"
    path.write_bytes(picture(1))
    return str(path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def ran(name: str, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *words])
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return ran


def test_ask(served: EmbeddedTriton, run: Run, image: str, tmp_path: Path) -> None:
    page = tmp_path / "answer.html"
    said = run("ask", image, "What is it?", "--url", served.grpc_url, "--page", str(page))
    assert said.splitlines()[0] == "What is it? (0.75)"
    assert "READ_TEXT" in said
    assert "<img" in page.read_text()


def test_stream(served: EmbeddedTriton, run: Run, image: str) -> None:
    said = run("stream", image, "What is it?", "--url", served.grpc_url).splitlines()
    assert said[0].startswith("1. ZOOM_IN")
    assert said[-1] == "= What is it?"
    with pytest.raises(SystemExit, match="invalid_image"):
        run("stream", image, "refuse", "--url", served.grpc_url)
    with pytest.raises(SystemExit, match="Start a server first"):
        run("stream", image, "What is it?", "--url", DEAD)


def test_several(served: EmbeddedTriton, run: Run, image: str) -> None:
    said = run("several", "What is it?", image, "nowhere.png", image, "--url", served.grpc_url).splitlines()
    assert [line.partition(": ")[2].partition(" ")[0] for line in said] == ["What", "invalid_image:", "What"]


def test_operations(served: EmbeddedTriton, run: Run, image: str) -> None:
    said = run("operations", image, "1", "2", "30", "40", "--url", served.grpc_url).splitlines()
    assert [line.partition(":")[0] for line in said] == ["READ_TEXT", "GET_PROPERTIES"]


def test_rest(served: EmbeddedTriton, run: Run, image: str) -> None:
    with running(served.grpc_url):
        assert run("rest", image, "What is it?", "--url", f"http://127.0.0.1:{PORT}") == "What is it?\n"
        with pytest.raises(SystemExit, match="not a picture"):
            run("rest", image, "refuse", "--url", f"http://127.0.0.1:{PORT}")


def test_every_example_is_run_here() -> None:
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} <= tests
