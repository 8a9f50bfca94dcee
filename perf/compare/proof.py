"""Whether `pixelis compare` can be believed, on two real servers of the same repository."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from builder.nano.questions import FAMILIES
from perf.compare.latency import Latency
from perf.compare.pairs import Asks
from perf.compare.run import Plan, compare
from perf.compare.simulated import simulated
from perf.e2e.questions import Asked, Supply, families, unseen_seed
from perf.machine import machine, versions
from perf.progress import bar
from perf.sides import HERE, serve, side
from pixelis.schema import Claim, Measurement, PipelineResult

ALPHA = 0.02
NOTHING = "no difference shown"
SAME_SHARE, FOUND_SHARE = 95.0, 90.0
"""Per cent of runs, at least."""


@dataclass(frozen=True)
class Slowed:
    """A side whose answers come later by a share of their own time."""

    inner: Asks
    share: float

    def ask(self, asked: Asked) -> PipelineResult:
        """The answer, late."""
        began = time.perf_counter()
        found = self.inner.ask(asked)
        time.sleep(self.share * (time.perf_counter() - began))
        return found


def measure(pairs: int, real: int, seeds: int, slower: float, command: str, *, quiet: bool) -> Measurement:
    """Rows and claims.

    Args:
        pairs: of a run, at most.
        real: runs of A = A for real, both servers started anew for each.
        seeds: drawn runs of either kind.
        slower: by which share B takes longer.
        command: as it was typed.
        quiet: no progress.
    """
    plan = Plan(side("A", HERE, []), side("B", HERE, []), pairs, 1, "interleaved", ALPHA, None, command)
    supply = Supply(families(",".join(FAMILIES)), unseen_seed())
    same = []
    for number in range(real):
        with ExitStack() as stack:
            order = (plan.a, plan.b) if number % 2 else (plan.b, plan.a)
            sides = {one.name: serve(stack, one, quiet=quiet) for one in order}
            with bar("A = A", pairs, quiet=quiet) as advance:
                same.append(compare(sides["A"], sides["B"], supply, plan, advance))
            if number + 1 < real:
                continue
            with bar(f"B slower by {slower:.0%}", pairs, quiet=quiet) as advance:
                late = compare(sides["A"], Slowed(sides["B"], slower), supply, plan, advance)
    ratios = [one.ratio for run in same for one in run.seen]
    alike = simulated(ratios, 1.0, pairs, ALPHA, seeds)
    apart = simulated(ratios, 1.0 + slower, pairs, ALPHA, seeds)
    rows = [
        *(_real("A = A", run.latency) for run in same),
        _real(f"B slower by {slower:.0%}", late.latency),
        _drawn("A = A", alike),
        _drawn(f"B slower by {slower:.0%}", apart),
    ]
    return Measurement(
        name="bench compare",
        command=command,
        machine=machine(),
        versions=versions(),
        rows=rows,
        claims=[
            _claim(
                "runs of A = A, for real, that show no difference", NOTHING, [one.latency for one in same], SAME_SHARE
            ),
            _claim("runs of A = A, drawn, that show no difference", NOTHING, alike, SAME_SHARE),
            _claim(f"runs with B slower by {slower:.0%}, drawn, that show it", "slower", apart, FOUND_SHARE),
            _claim(f"B slower by {slower:.0%}, for real, is shown", "slower", [late.latency], 100.0),
        ],
    )


def _real(name: str, found: Latency) -> dict[str, Any]:
    change = {key: round(100 * getattr(found, key), 3) for key in ("change", "low", "high")}
    shown = {f"{key}_%": value for key, value in change.items()}
    return {"row": "real", "sides": name, "shown": found.shown, "pairs": found.pairs, **shown}


def _drawn(name: str, found: list[Latency]) -> dict[str, Any]:
    shown, looked = Counter(str(one.shown) for one in found), sum(one.pairs for one in found) / len(found)
    return {"row": "drawn", "sides": name, "runs": len(found), **shown, "pairs_on_average": round(looked, 1)}


def _claim(said: str, wanted: str, found: list[Latency], target: float) -> Claim:
    share = 100 * sum(one.shown == wanted for one in found) / len(found)
    return Claim(claim=said, target=target, measured=round(share, 1), unit="%", met=share >= target)
