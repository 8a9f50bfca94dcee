"""A clock that is set back is noticed once, and nothing else is."""

from __future__ import annotations

import time

import pytest

from server.fleet.clock import Clock


def test_only_what_goes_back_by_much_is_said_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    off, real = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + off[0])
    clock = Clock()
    said = []
    for off[0] in (0, 3600, 3595, 0, 0, -20, -20):
        said.append(round(clock.set_back()))
    assert said == [0, 0, 0, 3595, 0, 20, 0]
