"""What is claimed of parts of such pipelines, each measured by its own benchmark once both sides have stopped.

It is the short form of those: `pixelis bench knn`, `bench ops`, `bench cache` and `bench formats` have all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builder.costing.cost import Cost
from perf.cache.reward import reward
from perf.formats.claims import latency
from perf.knn import bench as knn
from perf.knn.contenders.ours import EXACT, LIBRARY
from perf.ops import ops_bench
from pixelis.schema import Claim
from pixelis.settings import Settings

FORWARD, SEARCH, GRAPH, LOOKS, REWARDS = 0.4, 0.7, 10.0, 0.3, 5.0
"""The least that is claimed: the share of time saved of a forward pass, a search and visual operations; how many times
as fast a graph searches, and a reward comes that was given before."""
KEYS, STORED, INDEX = "keys-512", 20_000, "pca128,hnsw16"
"""What is searched, and by which index beside the exact one. The first time its pictures are embedded: six minutes."""
SCALE = 0.1
"""Of the workload of `bench ops`: 50 operations."""
Rows = list[dict[str, Any]]
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What is measured.

    Attributes:
        costs: of the forms that were served, as far as they were measured on this machine.
        threads: of each side.
        command: as it was typed.
        keys: data set that is searched.
        stored: of its keys, so many.
        index: that is held against the exact one, as `bench knn --only` names it.
        scale: of the visual operations.
        rounds: of turns.
    """

    costs: Mapping[str, Cost]
    threads: int
    command: str
    keys: str = KEYS
    stored: int = STORED
    index: str = INDEX
    scale: float = SCALE
    rounds: int = 3


def parts(asked: Asked, config: Settings, watch: Watch) -> tuple[Rows, list[Claim]]:
    """Rows, told apart by `part`, and a claim for each thing that is claimed.

    Raises:
        PixelisError: a model is not built, or a package is missing.
    """
    rows, claims = Rows(), list(_forward(asked.costs))
    for name, measured in (("search", _search), ("visual operations", _looks), ("reward", _rewards)):
        watch(f"parts: {name}")
        found, claimed = measured(asked, config, watch)
        rows += [{"row": "part", "part": name, **{k: v for k, v in row.items() if k != "row"}} for row in found]
        claims += claimed
    return rows, claims


def _forward(costs: Mapping[str, Cost]) -> Iterator[Claim]:
    """Of the models in which the work is; without a measured form (`bench formats`) nothing is said."""
    for model, case in (("vision_encoder", "batch 1"), ("policy", "prefill"), ("policy", "decode batch 1")):
        if model in costs:
            cost = costs[model]
            form = f"{model} as {cost.candidate} under {cost.reference}"
            yield from latency(cost, case, FORWARD, f"forward pass, by compilation and attention kernels: {form}")


def _search(asked: Asked, config: Settings, watch: Watch) -> tuple[Rows, list[Claim]]:
    wanted = knn.Asked(
        data=[asked.keys], libraries=[EXACT, LIBRARY], only=[EXACT, asked.index], parts=["sweep"], count=asked.stored,
        recall=0.95, rounds=asked.rounds, threads=asked.threads, quick=False, pictures=None, command=asked.command,
    )  # fmt: skip
    measured = knn.measure(wanted, config.state.absolute(), watch)
    rows = [row for row in measured.rows if row["row"] == "duel"]
    return rows, searched(rows, asked.stored)


def searched(rows: Sequence[Mapping[str, Any]], stored: int) -> list[Claim]:
    """Of the turns of both indexes; nothing where the graph does not find enough."""
    by = {row["library"]: row for row in rows}
    if LIBRARY not in by:
        return []
    times = by[EXACT]["p50_ms"] / by[LIBRARY]["p50_ms"]
    about = f"k-NN search of {stored} keys ({by[LIBRARY]['index']}, recall@10 {by[LIBRARY]['recall']:.3f})"
    return [
        _claim(f"{about}: latency under exact search", SEARCH, 1 - 1 / times, "share less"),
        _claim(f"{about}: times as fast as exact search, by a graph", GRAPH, times, "x"),
    ]


def _looks(asked: Asked, config: Settings, watch: Watch) -> tuple[Rows, list[Claim]]:
    wanted = ops_bench.Asked(asked.scale, seed=1, rounds=1, threads=asked.threads, command=asked.command)
    measured = ops_bench.measure(wanted, config, watch)
    rows = [row for row in measured.rows if row["row"] == "time"]
    claims = [
        _claim(f"visual operations, by batching and caches, {row['work']}: time under one after the other", LOOKS,
               row["less_percent"] / 100, "share less")
        for row in rows
    ]  # fmt: skip
    return rows, claims


def _rewards(asked: Asked, config: Settings, watch: Watch) -> tuple[Rows, list[Claim]]:
    rows, (claim,) = reward(config, 10 * asked.rounds)
    return rows, [_claim(claim.claim, REWARDS, claim.measured, claim.unit)]


def _claim(claim: str, target: float, measured: float, unit: str) -> Claim:
    measured = round(measured, 4)
    return Claim(claim=claim, target=target, measured=measured, unit=unit, met=measured >= target)
