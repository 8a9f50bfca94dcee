"""Load for a while, a look now and then, and a verdict on what grew."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from perf.chaos.crowd import Crowd, Outcome
from perf.chaos.fleet import Running, running
from perf.chaos.learner import Learner
from perf.e2e.questions import Supply, families, unseen_seed
from perf.machine import machine, versions
from perf.progress import bar
from perf.soak.growth import Growth, growth
from perf.soak.taken import STORES, Taken, look
from pixelis.schema import Claim, Measurement

EVERY_S = 10.0
WARM = 1 / 3
"""Of the time: caches fill, and nothing is concluded from it."""
SCENES = 40
"""That are asked about, four questions each: more than decoded pictures have room."""
CAPACITY = 1000
"""Of experiences, so that the store is full before anything is concluded."""
MIB = 2**20


def measure(minutes: float, replicas: int, command: str, *, quiet: bool) -> Measurement:
    """Rows and claims.

    Args:
        minutes: of load.
        replicas: of the fleet.
        command: as it was typed.
        quiet: no progress.
    """
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pixelis-soak-")))
        told = {"FLEET__REPLICAS": replicas, "FLEET__PROMETHEUS": "false", "RETRIEVAL__CAPACITY": CAPACITY}
        fleet = stack.enter_context(running(state, {f"PIXELIS_{name}": str(value) for name, value in told.items()}))
        supply = Supply(families("label,colour,count,where"), unseen_seed())
        crowd, learner = Crowd(fleet.rest, fleet.grpc, supply(SCENES)), Learner(fleet.grpc)
        stack.callback(crowd.close)
        stack.callback(learner.close)
        with crowd.asking() as outcomes, learner.teaching():
            seen = _watched(fleet, minutes * 60, quiet=quiet)
        again = sum(int(part["restarts"]) for part in fleet.ordered("status")["parts"])
    late = [one for one in seen if one.at - seen[0].at >= WARM * minutes * 60]
    found = _series(late)
    return Measurement(
        name="bench soak",
        command=command,
        machine=machine(),
        versions=versions(),
        rows=[_asked(outcomes, learner, again), *(_row(name, one) for name, one in found.items())],
        claims=_claims(minutes, outcomes, learner, found),
    )


def _watched(fleet: Running, seconds: float, *, quiet: bool) -> list[Taken]:
    seen, end, pause = list[Taken](), time.monotonic() + seconds, threading.Event()
    with bar("soak", max(1, int(seconds / EVERY_S)), quiet=quiet) as advance:
        while time.monotonic() < end:
            pause.wait(EVERY_S)
            seen.append(look(fleet))
            advance()
    return seen


def _series(seen: Sequence[Taken]) -> dict[str, Growth]:
    at = [one.at for one in seen]
    kinds = sorted({kind for one in seen for kind in one.memory})
    found = {f"memory of {kind}": growth(at, [one.memory[kind] / MIB for one in seen]) for kind in kinds}
    whole = [sum(taken for kind, taken in one.memory.items() if kind not in STORES) / MIB for one in seen]
    found["memory of all but the stores"] = growth(at, whole)
    found["/dev/shm"] = growth(at, [one.shared / MIB for one in seen])
    found["open files"] = growth(at, [one.files for one in seen])
    found["threads"] = growth(at, [one.threads for one in seen])
    return found


def _row(name: str, found: Growth) -> dict[str, Any]:
    numbers = {key: round(getattr(found, key), 2) for key in ("level", "change", "low", "high")}
    course = " ".join(f"{one:.1f}" for one in found.course)
    return {"row": "series", "series": name, **numbers, "flat": found.flat, "course": course}


def _asked(outcomes: Sequence[Outcome], learner: Learner, again: int) -> dict[str, Any]:
    times = [1e3 * one.seconds for one in outcomes if one.result is not None]
    errors = sorted({one.error for one in outcomes if one.error is not None})
    p50, p99 = (round(float(one), 1) for one in np.percentile(times, (50, 99)))
    return {
        "row": "asked",
        "requests": len(outcomes),
        "failed": len(outcomes) - len(times),
        "p50_ms": p50,
        "p99_ms": p99,
        "learned": len(learner.acknowledged),
        "refused": len(learner.refused),
        "processes_started_again": again,
        "errors": errors[:3],
    }


def _claims(minutes: float, outcomes: Sequence[Outcome], learner: Learner, found: dict[str, Growth]) -> list[Claim]:
    failed = sum(one.result is None for one in outcomes) + len(learner.refused)
    claims = [
        Claim(
            claim=f"failed of {len(outcomes) + len(learner.acknowledged)} requests in {minutes:g} minutes",
            target=0,
            measured=failed,
            unit="requests",
            met=failed == 0,
        )
    ]
    units = {"memory of all but the stores": "MiB", "/dev/shm": "MiB", "open files": "", "threads": ""}
    for name, unit in units.items():
        one = found[name]
        said = f"{name}: growth after warming up, beside a level of {one.level:.0f} ({one.low:.1f} to {one.high:.1f})"
        claims.append(Claim(claim=said, target=0, measured=round(one.change, 2), unit=unit, met=one.flat))
    return claims
