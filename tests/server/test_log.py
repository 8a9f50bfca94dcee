from __future__ import annotations

from pathlib import Path

import pytest

from server.log import StartLog, tail

LOADING = 'I1124 13:57:01.592 6667 model_lifecycle.cc:472] "loading: echo:1"\n'
LOADED = "I1124 13:57:01.869 6667 model_lifecycle.cc:839] \"successfully loaded 'echo'\"\n"
FAILED = (
    "E1124 13:57:01.962 6667 model_lifecycle.cc:642] \"failed to load 'raises' version 1: Internal: ValueError: bad "
    'shape\\n\\nAt:\\n  /repo/raises/1/model.py(3): initialize\\n"\n'
)
PARENT = (
    "E1124 13:57:01.962 6667 model_repository_manager.cc:703] \"Invalid argument: ensemble 'ens' depends on 'raises' "
    "which has no loaded version. Model 'raises' loading failed with error: bad shape\\n;\"\n"
)


def test_follows_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(LOADING + LOADED[:30])
    log = StartLog(path)
    log.read()
    assert (log.loading, log.loaded) == (["echo"], [])
    with path.open("a") as file:
        file.write(LOADED[30:])
    log.read()
    assert log.loaded == ["echo"]


def test_the_reason_comes_without_the_stack_and_the_child_before_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(FAILED + PARENT)
    log = StartLog(path)
    log.read()
    assert next(iter(log.failed.items())) == ("raises", "ValueError: bad shape")
    assert list(log.failed) == ["raises", "ens"]


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        (
            "E1 1 main.cc:257] \"failed to start HTTP service: Unavailable - Socket '127.0.0.1:80' already in use \"",
            True,
        ),
        ("error: creating server: Internal - failed to load all models", False),
        ("tritonserver: error while loading shared libraries: libz.so.1: cannot open shared object file", False),
    ],
)
def test_what_ended_the_server(tmp_path: Path, line: str, taken: bool) -> None:
    path = tmp_path / "log"
    path.write_text(line + "\n")
    log = StartLog(path)
    log.read()
    assert log.fatal is not None
    assert log.port_taken is taken


def test_tail(tmp_path: Path) -> None:
    assert tail(tmp_path / "absent") == "nothing in its log"
    (tmp_path / "log").write_text("a\nb\n\nc\nd\n")
    assert tail(tmp_path / "log", 3) == "c | d"
