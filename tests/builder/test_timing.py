"""Turns are taken by everybody, alternately, and what was slow for a while is no difference."""

from __future__ import annotations

import time

import pytest

from builder.costing.timing import Rounds, Timed, Turns, take_turns
from pixelis.errors import BuildError


def test_percentiles_throughput_and_ratio() -> None:
    slow = Rounds([[0.010, 0.012, 0.010], [0.020, 0.020, 0.020]])
    fast = Rounds([[0.005, 0.005, 0.005], [0.010, 0.010, 0.010]])
    timing = slow.timing(batch=4)
    assert timing.runs == 6
    assert timing.low_ms == pytest.approx(10)
    assert timing.high_ms == pytest.approx(20)
    assert timing.p50_ms == pytest.approx(16)
    assert timing.throughput_per_s == pytest.approx(250)
    assert timing.p50_ms <= timing.p90_ms <= timing.p95_ms <= timing.p99_ms <= 20
    assert slow.ratios(fast) == pytest.approx([2, 2])


def test_every_other_round_goes_backwards_and_each_call_starts_from_the_same_state() -> None:
    order: list[str] = []
    state = {"grown": 0}

    def grow() -> None:
        order.append("a")
        state["grown"] += 1
        assert state["grown"] == 1

    found = take_turns(
        {"a": Timed(grow, reset=lambda: state.update(grown=0)), "b": Timed(lambda: order.append("b"))},
        Turns(rounds=2, turn_s=10, calls=1),
    )
    assert "".join(order[4:]) == "aabbbbaa"  # a warm-up call and a measured one each
    assert {name: len(rounds.seconds) for name, rounds in found.items()} == {"a": 2, "b": 2}


def test_what_is_slow_is_called_once_a_turn() -> None:
    calls: list[float] = []

    def slow() -> None:
        calls.append(time.perf_counter())
        time.sleep(0.25)

    take_turns({"slow": Timed(slow)}, Turns(rounds=2, turn_s=0.01))
    assert len(calls) == 2 + 2


def test_nothing_is_measured_in_no_round() -> None:
    with pytest.raises(BuildError, match="at least one round"):
        Turns(rounds=0)
