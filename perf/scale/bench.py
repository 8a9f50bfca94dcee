"""All parts of `pixelis bench scale`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf.machine import machine, versions
from perf.scale.balancer_cost import balancer_cost
from perf.scale.cache_cost import cache_cost
from perf.scale.costs import Costs
from perf.scale.grid import formula_error, simulated
from perf.scale.log_cost import log_cost
from perf.scale.mixes import mixes
from perf.scale.replica_cost import replica_cost
from perf.scale.validation import validated
from pixelis.errors import InvalidRequest
from pixelis.schema import Claim, Measurement

PARTS = ("cache", "log", "balancer", "replica", "simulation")
Watch = Callable[[str], None]
FORMULA = 5.0
"""Per cent that a simulated mean wait may be off the formula's."""


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        parts: among `PARTS`.
        seconds: about how long each load lasts.
        rounds: of what other work on the machine disturbs.
        scenes: new scenes that a replica is asked about, in a phase.
        measured: a file of an earlier run, whose rows stand for parts that are not measured now.
        learning: shares of new questions that are learned.
        answers: new questions a second of a replica, where not as measured.
        busy: share of its time that a replica works.
        network_gbit: of the machine that has the log.
        command: what was typed.
    """

    parts: Sequence[str]
    seconds: float
    rounds: int
    scenes: int
    measured: Path | None
    learning: Sequence[float]
    answers: float | None
    busy: float
    network_gbit: float
    command: str


def measure(asked: Asked, watch: Watch) -> Measurement:
    """The measurement.

    Raises:
        SetupError: a program is missing, or a part that the simulation needs.
        InvalidRequest: the file of an earlier run is none.
        NotFound: the part `replica` is wanted and the models are not built.
    """
    rows = [] if asked.measured is None else _earlier(asked.measured, asked.parts)
    works: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "cache": lambda: cache_cost(asked.seconds, asked.rounds),
        "log": lambda: log_cost(asked.seconds, watch, asked.rounds),
        "balancer": lambda: balancer_cost(asked.seconds),
        "replica": lambda: replica_cost(asked.scenes, watch),
    }
    for name, work in works.items():
        if name in asked.parts:
            watch(name)
            rows += work()
    found, claims = validated(rows)
    rows += found
    if "simulation" in asked.parts:
        watch("simulation")
        costs = Costs.of(rows)
        costs = costs if asked.answers is None else costs.answering(asked.answers)
        rows += simulated(costs, mixes(asked.learning), asked.busy, 1e9 * asked.network_gbit)
        claims.append(_formula(costs, asked))
    made_with = versions()
    return Measurement(
        name="bench scale", command=asked.command, machine=machine(), versions=made_with, rows=rows, claims=claims
    )


def _earlier(path: Path, parts: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of parts that are not measured now."""
    try:
        rows = Measurement.model_validate(json.loads(path.read_text(encoding="utf-8"))).rows
    except (OSError, ValueError) as error:
        mend = "Name what `pixelis bench scale --json` printed."
        raise InvalidRequest(f"{path} holds no measurement: {type(error).__name__}.", mend=mend) from None
    wanted = {"cache", "log", "balancer", "replica"} - set(parts)
    return [row for row in rows if row.get("row") in wanted]


def _formula(costs: Costs, asked: Asked) -> Claim:
    """Two ways to the same wait."""
    count, off = formula_error(costs, mixes(())[0], asked.busy)
    said = f"mean wait before the cache's Redis at {count} replicas: simulated against Pollaczek and Khinchine, off by"
    percent = round(100 * abs(off), 2)
    return Claim(claim=said, target=FORMULA, measured=percent, unit="%", met=percent <= FORMULA)
