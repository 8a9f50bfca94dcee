"""Several starts of both sides: what differs between them is not a difference of the sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from typer.testing import CliRunner

from perf.compare.starts import together
from pixelis.cli import app

Starts = Callable[[int, float], list[list[float]]]


@pytest.fixture
def starts() -> Starts:
    """Eight starts of forty pairs, of which one start is 3 % off another; seeded."""

    def drawn(seed: int, slower: float) -> list[list[float]]:
        rng = np.random.default_rng(seed)
        shifts = np.log1p(slower) + rng.normal(0, 0.03, 8)
        return [np.exp(rng.normal(shift, 0.15, 40)).tolist() for shift in shifts]

    return drawn


def test_two_sides_that_are_the_same_are_called_so(starts: Starts) -> None:
    shown = [together(starts(seed, 0.0), 0.02).shown for seed in range(100)]
    assert shown.count("no difference shown") >= 95


def test_one_that_takes_ten_per_cent_longer_is_found(starts: Starts) -> None:
    found = [together(starts(seed, 0.1), 0.02) for seed in range(100)]
    assert sum(one.shown == "slower" for one in found) >= 95
    assert sum(one.low <= 0.1 <= one.high for one in found) >= 95
    assert {one.pairs for one in found} == {320}


@pytest.mark.parametrize("ratios", [[[1.0]], [[1.0], [1.1]], [[1.0], [1.1], []]])
def test_too_few_are_refused(ratios: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="are needed"):
        together(ratios, 0.02)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["here", "here", "--starts", "2"], "say nothing of their spread"),
        (["here", "localhost:8001", "--starts", "4"], "is not started anew"),
    ],
)
def test_what_cannot_be_started_again_is_said_before_anything_starts(words: list[str], why: str) -> None:
    told = CliRunner().invoke(app, ["compare", *words])
    assert told.exit_code == 1
    assert why in told.output
