"""`pixelis tune knn` behind its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from perf.knn import front
from perf.knn.data import DATASETS, load
from perf.machine import machine, versions
from pixelis.array_file import read_array
from pixelis.errors import GateFailed, InvalidRequest
from pixelis.json_text import reason
from pixelis.schema import Claim, Measurement
from pixelis.settings import Settings
from python_backends.experience import WIDTH
from python_backends.experience.chosen import write
from python_backends.experience.snapshot import newest_keys
from python_backends.experience.tuning import GRIDS, Grid, Limits, Split, Trial, choose, pareto, tune

EXPERIENCES = "experiences"
HELD_OUT = 1000
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What `pixelis tune knn` was asked for.

    Attributes:
        data: `experiences`, a data set's name, or a `.npy` file of `[n, D]` vectors.
        count: stored vectors, where fewer are wanted.
        k: neighbours of a query.
        limits: what the index has to keep to.
        grid: a JSON file of grids; none = `GRIDS`.
        output: folder for `knn.json` and `knn.png`.
        write: whether the experiences of this machine are served with what is chosen.
        threads: to build with.
        command: what was typed.
    """

    data: str
    count: int | None
    k: int
    limits: Limits
    grid: Path | None
    output: Path
    write: bool
    threads: int
    command: str


def run(asked: Asked, config: Settings, watch: Watch) -> tuple[Measurement, Trial]:
    """Measure, write JSON and picture, and choose; what was measured is written also where nothing can be chosen.

    Raises:
        GateFailed: nothing reaches the recall within the limits.
        InvalidRequest: data or grid cannot be used.
    """
    split, grids = vectors(asked, config, watch), read_grids(asked.grid)
    trials = tune(split, asked.k, grids, asked.threads, watch)
    chosen, failure = None, None
    try:
        chosen = choose(trials, asked.limits)
    except GateFailed as error:
        failure = error
    measured = _measurement(asked, split, trials, chosen)
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "knn.json").write_text(measured.model_dump_json(indent=2) + "\n")
    front.save(trials, chosen, asked.limits, asked.output / "knn.png")
    if failure is not None or chosen is None:
        raise failure or GateFailed("Nothing was chosen.")
    if asked.write:
        write(config.state / "experiences", chosen.config)
    return measured, chosen


def vectors(asked: Asked, config: Settings, watch: Watch) -> Split:
    """Stored vectors and held-out queries. Raises `InvalidRequest` where there are too few or the file holds others."""
    if asked.data in DATASETS:
        return load(asked.data, config.state.absolute(), watch, asked.count).split
    if asked.data == EXPERIENCES:
        found = newest_keys(config.state / "experiences", WIDTH)
        if not len(found):
            raise InvalidRequest(
                "There are no experiences on this machine.", mend=f"Take --data {', '.join(DATASETS)} or a .npy file."
            )
    else:
        found = _file(Path(asked.data))
    return Split.held_out(found[: asked.count], HELD_OUT)


def read_grids(path: Path | None) -> Sequence[Grid]:
    """The grids of a JSON file. Raises `InvalidRequest` where it holds none."""
    if path is None:
        return GRIDS
    try:
        return TypeAdapter(list[Grid]).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:  # pydantic's is one
        raise InvalidRequest(f"{path} holds no grids: {reason(error)}.", mend="docs/retrieval.md shows one.") from error


def _file(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        found = read_array(path)
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"{path} is no data set and no file of vectors: {error}.",
            mend=f"There are {EXPERIENCES}, {', '.join(DATASETS)}.",
        ) from error
    if found.ndim != 2 or found.dtype.kind != "f":
        raise InvalidRequest(f"{path} holds {found.dtype} {list(found.shape)}.", mend="It takes floats [n, D].")
    return np.asarray(found, np.float32)


def _measurement(asked: Asked, split: Split, trials: Sequence[Trial], chosen: Trial | None) -> Measurement:
    best = {id(trial) for trial in pareto(trials)}
    shared = {"data": asked.data, "vectors": len(split.stored), "width": split.width, "queries": len(split.queries)}
    rows = [{**shared, **one.row(), "front": id(one) in best, "chosen": one is chosen} for one in trials]
    exact = next((one for one in trials if one.config.exact), None)
    claims = []
    if chosen is not None:
        claims.append(_claim(f"recall@{asked.k}, with 95 % certainty", asked.limits.recall, chosen.recall_low, "share"))
        if exact is not None:
            claims.append(_claim("times as fast as exact search", 1.0, exact.p50_ms / chosen.p50_ms, "x"))
    return Measurement(
        name="tune knn", command=asked.command, machine=machine(), versions=versions(), rows=rows, claims=claims
    )


def _claim(text: str, target: float, measured: float, unit: str) -> Claim:
    return Claim(claim=text, target=target, measured=round(measured, 4), unit=unit, met=measured >= target)
