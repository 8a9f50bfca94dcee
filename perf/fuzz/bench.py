"""Fuzzes a real server: odd pictures and operations, several at once, each answer judged."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perf.fuzz.case import Case, case, load
from perf.fuzz.pictures import encoded
from perf.fuzz.run import Eyes, Found, fuzz
from perf.fuzz.send import Sender
from perf.fuzz.watch import Watched
from perf.machine import machine, versions
from perf.ports import free_ports
from perf.progress import bar, started
from pixelis.schema import Claim, Measurement
from pixelis.settings import Settings
from server.embedded import EmbeddedTriton

GROWTH = 0.1
"""By how much of itself the server's memory may have grown in the second half of a run."""


@dataclass(frozen=True)
class Plan:
    """What `pixelis bench fuzz` was asked for.

    Attributes:
        cases: how many.
        seed: of the cases.
        at_once: in flight.
        folder: where cases that failed are written.
        replay: a file of one; only it is sent.
        quiet: without progress.
        command: as it was typed.
    """

    cases: int
    seed: int
    at_once: int
    folder: Path
    replay: Path | None
    quiet: bool
    command: str


def measure(plan: Plan, config: Settings) -> Measurement:
    """Start a server of its own, send everything, stop it.

    Raises:
        InvalidRequest: the file to be replayed is none.
        SetupError: the server does not start.
    """
    again = None if plan.replay is None else load(plan.replay)
    with tempfile.TemporaryDirectory(prefix="pixelis-fuzz-") as state:
        own = config.model_copy(
            update={"state": Path(state), "repository": config.repository.absolute(), "server": free_ports()}
        )
        with started(quiet=plan.quiet, config=own) as triton:
            _warm(triton)
            found = run(triton, plan, [again] if again is not None else _cases(plan), 1 if again else plan.cases)
    return Measurement(
        name="bench fuzz",
        command=plan.command,
        machine=machine(),
        versions=versions(),
        rows=rows(found),
        claims=claims(found),
    )


def _warm(triton: EmbeddedTriton) -> None:
    """Read the largest pictures first: what a model keeps of its memory for them is no growth later on."""
    send, text = Sender(triton.http_url, triton.grpc_url), b'{"operation": "READ_TEXT", "resolution": "full"}'
    try:
        for width, height in ((4000, 3000), (3000, 3000)) * 2:
            picture = encoded(Image.radial_gradient("L").resize((width, height)), "JPEG")
            send(Case(0, 0, "visual_ops", "grpc", "the largest", [picture], text))
    finally:
        send.close()


def _cases(plan: Plan) -> Iterator[Case]:
    return (case(plan.seed, number) for number in range(plan.cases))


def run(triton: EmbeddedTriton, plan: Plan, cases: Iterable[Case], total: int) -> Found:
    """Send `cases` to a server that is ready; what fails is written to the plan's folder at once."""
    watched, send = Watched(triton), Sender(triton.http_url, triton.grpc_url)
    with bar("fuzz", total, quiet=plan.quiet) as done:
        eyes = Eyes(watched.fault, watched.memory, done, lambda one, why: _save(plan, one, why))
        try:
            return fuzz(cases, total, send, eyes, plan.at_once)
        finally:
            send.close()


def _save(plan: Plan, one: Case, why: str) -> None:
    one.saved(plan.folder, why)


def rows(found: Found) -> list[dict[str, Any]]:
    """Outcomes by model and way, times by model, memory by process, and every fault."""
    made: list[dict[str, Any]] = []
    for model, way in sorted({key[:2] for key in found.outcomes}):
        counts = {key[2]: count for key, count in sorted(found.outcomes.items()) if key[:2] == (model, way)}
        made.append({"row": "cases", "model": model, "way": way, "cases": sum(counts.values()), **counts})
    for model, seconds in sorted(found.seconds.items()):
        p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
        times = {"p50_ms": round(float(p50), 1), "p99_ms": round(float(p99), 1), "max_ms": round(max(seconds) * 1e3, 1)}
        made.append({"row": "seconds", "model": model, **times})
    made += _memory(found)
    made += [{"row": "restart", "after_cases": number, "why": why} for number, why in found.restarts]
    made += [
        {"row": "fault", "seed": one.seed, "number": one.number, "way": one.way, "about": one.about, "why": why}
        for one, why in found.faults
    ]
    return made


def _memory(found: Found) -> list[dict[str, Any]]:
    names = sorted({name for look in found.memory for name in look})
    made = [{"row": "memory", "process": name, **_looks([look.get(name, 0.0) for look in found.memory])}
            for name in names]  # fmt: skip
    return [*made, {"row": "memory", "process": "all", **_looks([sum(look.values()) for look in found.memory])}]


def _looks(sizes: list[float]) -> dict[str, float]:
    first, half, end = sizes[0], sizes[len(sizes) // 2], sizes[-1]
    return {"start_mib": round(first, 1), "half_mib": round(half, 1), "end_mib": round(end, 1)}


def claims(found: Found) -> list[Claim]:
    """No fault, no process that is another one, and memory that does not grow on."""
    total = found.outcomes.total()
    last = _memory(found)[-1]
    growth = last["end_mib"] / last["half_mib"] - 1
    return [
        Claim(claim=f"answers that are neither a result nor the caller's fault, of {total}", target=0,
              measured=len(found.faults), unit="cases", met=not found.faults),
        Claim(claim=f"looks at which a process had ended or the server was not ready, in {total} cases", target=0,
              measured=len(found.restarts), unit="looks", met=not found.restarts),
        Claim(claim="memory of all processes at the end, beside that at half the cases", target=1 + GROWTH,
              measured=round(1 + growth, 3), unit="x", met=growth <= GROWTH),
    ]  # fmt: skip
