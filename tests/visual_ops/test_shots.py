"""Cuts, what comes and goes within shots, and scores of all frames from looks at few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perf.ops import localize_quality
from perf.ops.labels.localize_clips import shot_clip, shown_clip
from pixelis.operations_config import Ladder
from python_backends.visual_ops.features import EngineFeatures
from python_backends.visual_ops.ocr import EngineOcr
from python_backends.visual_ops.probing import filled, probed
from python_backends.visual_ops.shots import Piece, pieces, shots

Pixels = NDArray[np.uint8]


def test_cuts_of_concatenated_clips() -> None:
    """Measured on 60 clips: 189 of 192, and no other."""
    for seed in range(3):
        clip = shot_clip(seed)
        assert [start for start, _ in shots(clip.frames)] == [0, *clip.cuts]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(3, 6)), min_size=1, max_size=6))
def test_shots_are_all_frames_whatever_they_show(shown: list[tuple[int, int]]) -> None:
    frames = [np.full((30 + colour, 40, 3), 50 * colour, np.uint8) for colour, count in shown for _ in range(count)]
    for spans in (shots(frames), [(piece.start, piece.end) for piece in pieces(frames)]):
        assert [at for a, b in spans for at in range(a, b)] == list(range(len(frames)))
    colours = [frame[0, 0, 0] for frame in frames]
    changes = [i for i in range(1, len(frames)) if colours[i] != colours[i - 1]]
    assert set(changes) <= {piece.start for piece in pieces(frames)}


def test_what_comes_and_goes_at_once_parts_a_shot_and_what_moves_hardly_does() -> None:
    noise = np.random.default_rng(0).integers(100, 120, (24, 120, 160, 3), np.uint8)
    frames = list(noise)
    for i, frame in enumerate(frames):
        frame[80:100, 2 * i : 2 * i + 20] = (40, 40, 200)
        if 7 <= i < 15:
            frame[20:50, 60:120] = (240, 240, 250)
    parted = {piece.start for piece in pieces(frames)}
    assert {0, 7, 15} <= parted
    assert len(parted) <= 4


@st.composite
def films(draw: st.DrawFn) -> tuple[list[Piece], list[bool]]:
    """Pieces, and in which frames something is: all of a still piece or nothing, of another one what begins or ends."""
    film: list[Piece] = []
    there: list[bool] = []
    for length in draw(st.lists(st.integers(4, 30), min_size=1, max_size=4)):
        still, state, change = draw(st.booleans()), draw(st.booleans()), draw(st.integers(1, length))
        film.append(Piece(len(there), len(there) + length, still))
        there += [state] * length if still else [state] * change + [not state] * (length - change)
    return film, there


@given(films(), st.integers(2, 12))
def test_beginnings_and_ends_are_found_exactly_with_few_looks(film: tuple[list[Piece], list[bool]], every: int) -> None:
    parts, there = film
    looked: list[int] = []

    def measure(indexes: object) -> list[float]:
        assert isinstance(indexes, list)
        looked.extend(indexes)
        return [0.9 if there[i] else 0.1 for i in indexes]

    known = probed(parts, measure, 0.5, every)
    assert [score >= 0.5 for score in filled(parts, known)] == there
    assert len(looked) == len(set(looked))
    assert len(looked) <= sum((piece.end - piece.start) / every + 2 + 5 for piece in parts)


@pytest.mark.long
def test_the_quality_of_localising(ocr: EngineOcr, features: EngineFeatures) -> None:
    """Measured on many in `perf.ops.localize_quality`; here two, so that a loss of much is seen."""
    measured = localize_quality.measure((2, 9), Ladder(), ocr, features)
    assert measured["cuts"] == 1
    assert measured["full"]["all"]["within"] == measured["adaptive"]["all"]["within"] == 1
    assert measured["adaptive"]["all"]["looked"] <= 0.5


def test_clips_say_when_something_is_shown() -> None:
    for seed in (0, 1):
        clip = shown_clip(seed)
        assert all(0 <= start < end <= len(clip.frames) for start, end in clip.spans)
        assert np.array_equal(shown_clip(seed).frames[0], clip.frames[0])
