"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pixelis.draft import LEFT_S, draft, replace_text


def test_a_file_takes_its_place_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    assert replace_text(path, "one") == path
    with draft(path, durable=True) as beside:
        beside.write_text("two")
        assert path.read_text() == "one"
    assert (path.read_text(), list(path.parent.iterdir())) == ("two", [path])


@pytest.mark.parametrize("failure", [OSError("no room"), KeyboardInterrupt()])
def test_where_it_fails_nothing_has_changed(tmp_path: Path, failure: BaseException) -> None:
    path = replace_text(tmp_path / "file", "before")

    def write() -> None:
        with draft(path) as beside:
            beside.write_text("half")
            raise failure

    with pytest.raises(type(failure)):
        write()
    assert (path.read_text(), list(tmp_path.iterdir())) == ("before", [path])


def test_two_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with draft(path) as one, draft(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # the outer ends last


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_who_may_read_it(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        path = replace_text(tmp_path / "file", "text", mode=mode)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in ("f[1].0a0b0c0d.draft", "f[1].00000000.draft", "g.0a0b0c0d.draft"))
    for path in (old, young, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (time.time() - LEFT_S - 1,) * 2)
    replace_text(tmp_path / "f[1]", "whole")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "f[1]", young, other])
