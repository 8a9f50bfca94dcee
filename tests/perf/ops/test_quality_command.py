"""The command line of quality commands."""

from __future__ import annotations

import pytest

from perf.ops.quality_command import ask
from pixelis.operations_config import Ladder


def test_sets_and_the_ladder_are_those_asked_for() -> None:
    asked = ask("track_quality", None, 3, ["--sets", "held_out", "--steps", "0.5,1", "--enough", "0.8", "--keep-all"])
    assert asked.sets == {"held_out": range(10_000, 10_003)}
    assert asked.ladder == Ladder(steps=(0.5, 1.0), enough=0.8, stop_early=False)
    made = asked.by_set(lambda seeds, ladder: {"seeds": list(seeds), "enough": ladder.enough})
    assert made == {
        "ladder": asked.ladder.model_dump(mode="json"),
        "held_out": {"seeds": [10_000, 10_001, 10_002], "enough": 0.8},
    }


def test_both_sets_are_looked_at_where_nothing_is_said() -> None:
    asked = ask("track_quality", None, 2, [])
    assert asked.sets == {"fixed": range(2), "held_out": range(10_000, 10_002)}
    assert not asked.as_json


def test_a_set_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ask("track_quality", None, 2, ["--sets", "fixed,other"])
    assert "there are fixed, held_out" in capsys.readouterr().err
