"""All parts on all data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.knn import picture
from perf.knn.claims import claims
from perf.knn.compact import compact
from perf.knn.contenders import LIBRARIES, plans
from perf.knn.contenders.ours import LIBRARY, Ours
from perf.knn.contenders.plans import why_absent
from perf.knn.crossover import SIZES, crossed, crossover
from perf.knn.data import Dataset, load
from perf.knn.duel import duel
from perf.knn.live import SEARCHES, live
from perf.knn.served import served
from perf.knn.sweep import Best, K, sweep
from perf.machine import machine, versions
from pixelis.errors import InvalidRequest
from pixelis.index_config import Hnsw, IndexConfig, IvfPq, Pca, Refine
from pixelis.schema import Claim, Measurement
from python_backends.experience.key import WIDTH
from python_backends.experience.tuning import Truth

PARTS = ("sweep", "crossover", "live", "compact", "served")
QUICK_COUNT = 4000
CHANGING = (
    IndexConfig(
        index=IvfPq(lists=256, probes=48, subquantizers=64, bits=4, fast_scan=True),
        transform=Pca(width=128),
        refine=Refine(factor=16),
    ),
    IndexConfig(index=Hnsw(ef_search=192), transform=Pca(width=128), refine=Refine(factor=8)),
)
"""What `live` measures where no sweep has found anything better: lists and a graph, as the serving tuner takes them."""
NARROW = IndexConfig(index=Hnsw(ef_search=64))
"""The same for vectors that are no wider than those."""
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What `pixelis bench knn` was asked for.

    Attributes:
        data: names of data sets.
        libraries: whose indexes.
        only: parts of labels: other indexes are left out of `sweep` and `live`; none = all are measured.
        parts: among `PARTS`.
        count: stored vectors, where fewer are wanted than a set has.
        recall: at which libraries are compared.
        rounds: how often the best, and what goes on beside searches, take their turn.
        threads: to build with; one searches.
        quick: few vectors and settings, to see that everything runs.
        pictures: folder for them; none = no pictures.
        command: what was typed.
    """

    data: Sequence[str]
    libraries: Sequence[str]
    only: Sequence[str]
    parts: Sequence[str]
    count: int | None
    recall: float
    rounds: int
    threads: int
    quick: bool
    pictures: Path | None
    command: str


def measure(asked: Asked, state: Path, watch: Watch) -> Measurement:
    """The measurement. Raises what `load` raises."""
    rows: list[dict[str, Any]] = []
    made: list[Claim] = []
    for name in asked.data:
        data = load(name, state, watch, QUICK_COUNT if asked.quick else asked.count)
        found, claimed = _measured(asked, data, lambda said, name=name: watch(f"{name}: {said}"))  # type: ignore[misc]
        rows += [{"row": row.pop("row"), "data": name, **row} for row in found]
        made += claimed
    if not rows:
        raise InvalidRequest("Nothing was measured.", mend="`sweep`, or libraries that are installed, are missing.")
    return Measurement(
        name="bench knn", command=asked.command, machine=machine(), versions=versions(), rows=rows, claims=made
    )


def _measured(asked: Asked, data: Dataset, watch: Watch) -> tuple[list[dict[str, Any]], list[Claim]]:
    rows: list[dict[str, Any]] = []
    made: list[Claim] = []
    own: Best | None = None
    if "sweep" in asked.parts:
        swept_rows, made, own = _swept(asked, data, watch)
        rows += swept_rows
    if "crossover" in asked.parts:
        sizes = (500, 2000) if asked.quick else SIZES
        sized = crossover(data, asked.recall, asked.threads, watch, sizes)
        rows += [{"row": "crossover", **row} for row in sized]
        rows += [{"row": "crossed", "trained_is_faster_from": crossed(sized)}]
    if "live" in asked.parts:
        chosen = [
            c for c in _changing(own, data.split.width) if not asked.only or any(p in c.label for p in asked.only)
        ]
        for config in chosen:
            size = (100, 64) if asked.quick else (SEARCHES, 512)
            changing, claimed = live(data, config, 1 if asked.quick else asked.rounds, watch, *size)
            rows += [{"row": "live", "index": config.label, **row} for row in changing]
            made += claimed
    if "compact" in asked.parts:
        small, claimed = compact(data, Truth(data.split, K, asked.threads), asked.threads, watch)
        rows += [{"row": "compact", **row} for row in small]
        made += claimed
    if "served" in asked.parts and data.split.width == WIDTH:
        rows += [{"row": "served", **row} for row in served(data, _changing(own, WIDTH)[0], watch)]
    elif "served" in asked.parts:
        rows += [{"row": "absent", "part": "served", "why": f"`knn` takes keys of {WIDTH} dimensions"}]
    return rows, made


def _changing(own: Best | None, width: int) -> tuple[IndexConfig, ...]:
    if own is not None and isinstance(own.contender, Ours):
        return (own.contender.index.config,)
    fits = tuple(one for one in CHANGING if one.transform is not None and one.transform.width < width)
    return fits or (NARROW,)


def _swept(asked: Asked, data: Dataset, watch: Watch) -> tuple[list[dict[str, Any]], list[Claim], Best | None]:
    split = data.split
    truth = Truth(split, K, asked.threads)
    every = plans(len(split.stored), split.width, asked.libraries, asked.quick)
    swept = sweep(
        (plan for plan in every if not asked.only or any(part in plan.label for part in asked.only)),
        split,
        truth,
        asked.recall,
        asked.threads,
        watch,
    )
    watch("in turns")
    duelled = duel(swept.best, split, 1 if asked.quick else asked.rounds, asked.recall)
    rows = [{"row": "sweep", **row} for row in swept.rows] + [{"row": "duel", **row} for row in duelled]
    rows += [
        {"row": "absent", "library": name, "why": why_absent(name) or "recall not reached"}
        for name in LIBRARIES
        if name in asked.libraries and name not in swept.best
    ]
    if asked.pictures is not None:
        title = f"{len(split.stored)} {data.about}"
        picture.save(title, swept.rows, asked.recall, asked.pictures / f"knn-{data.name}.png")
    claimed = claims(data.name, len(split.stored), split.width, asked.recall, duelled)
    return rows, claimed, swept.best.get(LIBRARY)
