"""What `pixelis bench replicas` concludes from its rows."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest

from perf.replicas.run import _busy, _claims

Times = namedtuple("Times", "user system idle iowait guest")


def row(replicas: int, answers: float, busy: float) -> dict[str, Any]:
    return {"row": "replicas", "replicas": replicas, "answers_per_s": answers, "processors_busy": busy}


SHARED = {"asked_of_one_then_of_the_other": 8, "answered_from_the_cache": 8, "learned": 20, "not_known_to_both": 0}


def test_the_ratio_is_of_rounds_and_says_how_busy_one_replica_was() -> None:
    rows = [row(2, 16, 1.0), row(1, 10, 0.5), row(1, 10, 0.6), row(2, 17, 1.0), row(2, 20, 1.0), row(1, 10, 0.7)]
    ratio, cached, known = _claims(SHARED, rows)
    assert (ratio.measured, ratio.met) == (1.7, True)
    assert "1.60 to 2.00" in ratio.claim
    assert "60% of the processors" in ratio.claim
    assert (cached.met, known.met) == (True, True)


@pytest.mark.parametrize(("field", "which"), [("answered_from_the_cache", 1), ("not_known_to_both", 2)])
def test_what_is_not_shared_is_said(field: str, which: int) -> None:
    claims = _claims({**SHARED, field: 7}, [row(1, 10, 0.9), row(2, 11, 1.0)])
    assert [claim.met for claim in claims] == [False, *(number != which for number in (1, 2))]


def test_processors_are_busy_with_what_is_neither_idle_nor_waiting_for_a_disk() -> None:
    before, after = Times(0, 0, 0, 0, 0), Times(30, 10, 50, 10, 5)
    assert _busy(before, after) == pytest.approx(0.4)
