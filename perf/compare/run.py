"""Both sides, asked until a difference is shown or enough was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from builder.nano.questions import FAMILIES
from perf.compare import verdict
from perf.compare.jury import Jury
from perf.compare.latency import LEAST, Latency, Sequential
from perf.compare.pairs import Asks, Pair, Supplies, Traffic, pairs
from perf.compare.starts import together
from perf.compare.verdict import Judged
from perf.e2e.processes import Usage, spent
from perf.e2e.questions import Supply, families
from perf.e2e.sides import Served
from perf.machine import machine, versions
from perf.progress import bar
from perf.sides import Side, serve
from pixelis.errors import ServingError
from pixelis.schema import Measurement

WARM = 2
"""Pairs that are asked first and not looked at."""
SILENT = 6
"""Pairs in a row of which a side answered no request, after which it is given up."""
FAILING = 0.5
"""A share of pairs with a failed request, above which times are not compared."""


@dataclass(frozen=True)
class Plan:
    """What `pixelis compare` was asked for.

    Attributes:
        a: one side.
        b: the other one, which is judged.
        pairs: at most.
        at_once: questions under way at the same time.
        traffic: how they are asked.
        alpha: how often a difference in latency may be shown where there is none.
        families: of questions; none = all.
        command: as it was typed.
        count: questions of a pair; none = as many as are under way.
        starts: of both sides, the pairs divided among them.
    """

    a: Side
    b: Side
    pairs: int
    at_once: int
    traffic: Traffic
    alpha: float
    families: str | None
    command: str
    count: int | None = None
    starts: int = 1


@dataclass(frozen=True)
class Compared:
    """What pairs show.

    Attributes:
        latency: as its test shows it.
        seen: all pairs.
    """

    latency: Latency
    seen: list[Pair]


def measure(plan: Plan, *, quiet: bool) -> Measurement:
    """The comparison; whatever was started is stopped, on Ctrl-C too.

    Raises:
        PixelisError: a side does not start, or does not answer.
    """
    supply = Supply(families(plan.families or ",".join(FAMILIES)))
    share = replace(plan, pairs=max(LEAST, plan.pairs // plan.starts))
    runs = [_run(share, supply, order, quiet=quiet) for order in _orders(plan.starts)]
    found, after, worked = _together(runs, plan)
    judged = verdict.judged(found.latency, found.seen)
    rows = [
        *verdict.sides(found.seen, after, worked),
        *(one.row() for one in judged),
        _summary(plan, found, judged),
    ]
    return Measurement(name="compare", command=plan.command, machine=machine(), versions=versions(), rows=rows)


@dataclass(frozen=True)
class _Run:
    """What one start of both sides gave."""

    found: Compared
    after: list[list[Usage]]
    worked: list[float]


def _orders(starts: int) -> list[tuple[int, int]]:
    """Which side is started first: each in one of two starts."""
    return [(0, 1) if number % 2 == 0 else (1, 0) for number in range(starts)]


def _run(plan: Plan, supply: Supply, order: tuple[int, int], *, quiet: bool) -> _Run:
    with ExitStack() as stack:
        sides = (plan.a, plan.b)
        started = {place: serve(stack, sides[place], quiet=quiet) for place in order}
        a, b = started[0], started[1]
        before = [a.usage(), b.usage()]
        with bar(f"{plan.a.label} against {plan.b.label}", plan.pairs, quiet=quiet) as advance:
            found = compare(_asked(a, plan.a), _asked(b, plan.b), supply, plan, advance)
        after = [a.usage(), b.usage()]
    return _Run(found, after, [_worked(*two) for two in zip(before, after, strict=True)])


def _together(runs: Sequence[_Run], plan: Plan) -> tuple[Compared, list[list[Usage]], list[float]]:
    """All starts: times by the spread between them, answers of all, memory of the last."""
    last = runs[-1]
    if len(runs) == 1:
        return last.found, last.after, last.worked
    seen = [pair for run in runs for pair in run.found.seen]
    latency = together([ratios(run.found.seen) for run in runs], plan.alpha)
    worked = [sum(run.worked[side] for run in runs) for side in (0, 1)]
    return Compared(latency, seen), last.after, worked


def ratios(seen: Sequence[Pair]) -> list[float]:
    """Of the pairs whose questions were all answered."""
    return [pair.ratio for pair in seen if all(one.result is not None for two in pair.members for one in two)]


def _asked(served: Served, side: Side) -> Asks:
    return Jury(served, side.checkpoints) if side.checkpoints else served


def compare(a: Asks, b: Asks, supply: Supplies, plan: Plan, advance: Callable[[], None] = lambda: None) -> Compared:
    """Pairs until a difference in time is shown, or there are enough.

    Raises:
        ServingError: a side does not answer, or so often not that times say nothing.
    """
    test, seen, times = Sequential(plan.pairs, plan.alpha), list[Pair](), list[float]()
    for number, pair in enumerate(pairs(a, b, supply, plan.at_once, plan.traffic, count=plan.count)):
        seen.append(pair)
        _require_answers(seen[-SILENT:])
        if number < WARM:
            continue
        advance()
        if all(one.result is not None for member in pair.members for one in member):
            times.append(pair.ratio)
            if (found := test.look(times)) is not None:
                return Compared(found, seen[WARM:])
        elif len(seen) > plan.pairs and len(times) < FAILING * plan.pairs:
            raise ServingError(f"More than half of the pairs failed: {_reasons(seen)}", mend="Mend that first.")
    raise AssertionError("pairs never end")


def _require_answers(last: list[Pair]) -> None:
    """Raises `ServingError` where a side answered none of the last requests: it is not up, or has died."""
    for name, blocks in (("A", [pair.a for pair in last]), ("B", [pair.b for pair in last])):
        if len(last) == SILENT and not any(block.latencies for block in blocks):
            raise ServingError(f"{name} answers nothing: {blocks[-1].answered[0].error}", mend="Its log says more.")


def _reasons(seen: list[Pair]) -> str:
    errors = {one.error for pair in seen for member in pair.members for one in member if one.error}
    return "; ".join(sorted(errors)[:3])


def _summary(plan: Plan, found: Compared, judged: list[Judged]) -> dict[str, object]:
    return {
        "row": "verdict",
        "a": plan.a.label,
        "b": plan.b.label,
        "b_is": verdict.verdict(judged),
        "pairs": len(found.seen),
        "of_at_most": plan.pairs,
        "starts": plan.starts,
        "stopped_early": found.latency.stopped_early,
        "same_answers": round(verdict.alike(found.seen), 4),
        "alpha": plan.alpha,
    }


def _worked(before: list[Usage], after: list[Usage]) -> float:
    return sum(spent(before, after).values()) if after else 0.0
