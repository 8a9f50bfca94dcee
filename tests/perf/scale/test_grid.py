"""From costs to where things end."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from perf.scale.costs import Asking, Costs
from perf.scale.grid import REPLICAS, formula_error, simulated
from perf.scale.log_model import LogCosts
from perf.scale.mixes import APPLYING, BALANCER, CACHE, GATEWAY, LOG, Load, Mix, mixes

ASKING = Asking(per_second=10, gateway=1e-3, reads=10, writes=10, scripts=5, entries=0)
COSTS = Costs(
    unique=ASKING,
    repeated=dataclasses.replace(ASKING, per_second=100, reads=2, writes=0, scripts=0),
    learning=dataclasses.replace(ASKING, entries=2),
    read=5e-6,
    write=8e-6,
    script=8e-6,
    balancer=1e-4,
    log=LogCosts(append=3e-5, fsync=1e-3, told=3e-5, entry=1e-5, idle=1e-4, apply=2e-3),
    sent_bytes=30_000,
    cache_connections=20,
    log_connections=2,
)
NEW, LEARNED = Mix("new", 0, 0), Mix("learned", 0, 0.5)


def test_as_many_requests_as_keep_replicas_busy() -> None:
    assert Load.of(COSTS, NEW, 4, 0.5).per_second == pytest.approx(4 * 0.5 * 10)
    # A fifth takes 100 ms, the others 10 ms: 28 ms each.
    assert Load.of(COSTS, Mix("", 0.8, 0), 1, 1.0).per_second == pytest.approx(1 / 0.028)
    assert Load.of(COSTS, LEARNED, 1, 1.0).changes == pytest.approx(10 * 0.5 * 2)


@pytest.mark.parametrize(
    ("part", "each"), [(BALANCER, 1e-4), (GATEWAY, 1e-3), (CACHE, 10 * 5e-6 + 10 * 8e-6 + 5 * 8e-6)]
)
def test_a_part_ends_where_its_time_does(part: str, each: float) -> None:
    rows = simulated(COSTS, [NEW], 0.5, 1e10)
    (end,) = [row for row in rows if row["row"] == "saturation" and row["part"] == part]
    assert end["full_at"] == pytest.approx(1 / (5 * each), abs=1)
    for row in [row for row in rows if row["row"] == "grid" and row["part"] == part]:
        assert row["load"] == pytest.approx(5 * each * row["replicas"], abs=1e-3)
        assert (row["p99_ms"] is None) == (row["load"] >= 1)


def test_the_log_ends_by_the_square_of_replicas() -> None:
    def end(costs: Costs) -> dict[str, Any]:
        rows = simulated(costs, [LEARNED], 0.5, 1e10)
        return {row["part"]: row["full_at"] for row in rows if row["row"] == "saturation"}

    quiet = dataclasses.replace(COSTS.log, fsync=0.0, append=0.0, idle=0.0)
    half = dataclasses.replace(quiet, told=quiet.told / 4, entry=quiet.entry / 4)
    before, after = (end(dataclasses.replace(COSTS, log=log))[LOG] for log in (quiet, half))
    assert after == pytest.approx(2 * before, rel=0.02)
    found = end(COSTS)
    assert found[APPLYING] == pytest.approx(1 / (5 * 2e-3), abs=1)  # 5 changes a second of each replica
    # 5 N changes a second, N - 1 readers, 30 KB each, 10 Gbit/s
    assert found["log: network"] == pytest.approx((1e10 / (8 * 5 * 30_000)) ** 0.5, rel=0.02)
    assert found["cache: connections"] == 500


def test_without_learning_there_is_no_log() -> None:
    assert not [row for row in simulated(COSTS, [NEW], 0.5, 1e10) if row["part"] in (LOG, APPLYING, "log: network")]


def test_waits_grow_with_load() -> None:
    rows = [row for row in simulated(COSTS, [NEW], 0.5, 1e10) if row.get("part") == GATEWAY and row["row"] == "grid"]
    late = [row["p99_ms"] for row in rows if row["p99_ms"] is not None]
    assert late == sorted(late)
    assert [row["replicas"] for row in rows] == list(REPLICAS)


def test_the_simulation_is_the_formula() -> None:
    _, off = formula_error(COSTS, NEW, 0.5)
    assert abs(off) < 0.05


def test_mixes_are_named_for_what_they_are() -> None:
    found = mixes([0.2])
    assert [(mix.repeated, mix.learning) for mix in found] == [(0, 0), (0, 0.2), (0.8, 0), (0.8, 0.2)]
    assert sum(share for _, share in found[3].shares()) == pytest.approx(1)
    assert "20 % of the new learned" in found[1].name
