"""The reference does a task once for all forms; a form's own scores are never remembered."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from builder.gating.known_scores import KnownScores
from builder.gating.paired import Scores


def counting(calls: list[int], value: float) -> Scores:
    calls.append(1)
    return np.full(10, value)


def test_scores_are_measured_once_and_read_after_that(tmp_path: Path) -> None:
    calls: list[int] = []
    for _ in range(3):
        scores = KnownScores(tmp_path, "engine", "a" * 64).of("lines", lambda: counting(calls, 0.25))
        assert scores.tolist() == [0.25] * 10
    assert len(calls) == 1
    assert not list(tmp_path.glob("*.draft"))


def test_another_source_or_task_has_its_own(tmp_path: Path) -> None:
    calls: list[int] = []
    for source, task in (("a" * 64, "lines"), ("b" * 64, "lines"), ("a" * 64, "boxes")):
        KnownScores(tmp_path, "engine", source).of(task, lambda: counting(calls, 0.5))
    assert len(calls) == 3


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    calls: list[int] = []
    KnownScores(tmp_path, "engine", "a" * 64).of("lines", lambda: counting(calls, 0.5))
    for path in tmp_path.iterdir():
        path.write_bytes(b"nothing")
    assert KnownScores(tmp_path, "engine", "a" * 64).of("lines", lambda: counting(calls, 0.5)).tolist() == [0.5] * 10
    assert len(calls) == 2


def test_without_a_folder_nothing_is_remembered() -> None:
    calls: list[int] = []
    for _ in range(2):
        KnownScores(None, "engine", "a" * 64).of("lines", lambda: counting(calls, 0.5))
    assert len(calls) == 2
