"""The search, and what is found against what is served now, on questions that nothing was chosen by."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from builder.named.specs import in_repository
from builder.spec import pipeline
from builder.store import Store
from perf.compare import run as comparison
from perf.compare import verdict
from perf.machine import machine, versions
from perf.sides import HERE, Side
from perf.tuning.forms import allowed
from perf.tuning.knobs import FORM, Choice, Knob, knobs
from perf.tuning.report import rows_of, verdict_row
from perf.tuning.study import Running, Search, identity
from perf.tuning.trial import Seen, Trials, memory
from perf.tuning.variant import variant
from perf.tuning.workload import Workload
from pixelis.errors import InvalidRequest, PixelisError, SetupError
from pixelis.schema import Claim, Measurement
from pixelis.settings import Settings

FILE = "tune/pipeline.db"
"""In the state folder."""
ASKING_S = 12.0
"""Seconds of a trial, in which pairs are asked; about as long as its server takes to start."""
PAIRS = (6, 100)
"""Of a trial, at least and at most."""
SEARCHING = 0.6
"""Of the time; the rest is for the last comparison."""
LEAST, MOST = 20, 400
"""Pairs of the last comparison."""
ALPHA = 0.05
NEAR = 3.0
"""Per cent: what is served is as good as the best found, where more cannot be gained."""
FRUITLESS = 5
"""Trials in a row that cannot be served, after which the search is given up."""
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """What must hold of what is chosen; none = no limit.

    Attributes:
        p99_ms: most, of a request.
        memory_mib: most, of all processes together.
        accuracy_drop: points of 1 that may be lost.
    """

    p99_ms: float | None
    memory_mib: float | None
    accuracy_drop: float

    def over(self, facts: Mapping[str, Any]) -> dict[str, float]:
        """Limit -> by which share it is overstepped; not positive = it is kept."""
        most = {"p99_ms": self.p99_ms, "pss_mib": self.memory_mib}
        return {name: float(facts[name]) / limit - 1 for name, limit in most.items() if limit is not None}


@dataclass(frozen=True)
class Asked:
    """What `pixelis tune pipeline` was asked for.

    Attributes:
        load: that is made fast.
        limits: that are kept.
        seconds: the whole may take.
        only: beginnings of knobs' names; empty = all.
        anew: forget what was found before.
        command: as it was typed.
    """

    load: Workload
    limits: Limits
    seconds: float
    only: tuple[str, ...]
    anew: bool
    command: str


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Attributes:
        measured: rows and claims.
        choice: the best that was found; none = nothing could be served.
        better: whether it is shown to be faster than what is served, and in nothing worse.
        forms: model -> label -> key in the build cache.
    """

    measured: Measurement
    choice: Choice | None
    better: bool
    forms: dict[str, dict[str, str]]


def tune(asked: Asked, config: Settings, watch: Watch, *, quiet: bool) -> Tuned:
    """Search for so long, then compare the best with what is served.

    Raises:
        PixelisError: nothing can be turned, or what is served does not start.
    """
    began = time.monotonic()
    store = Store(config.repository, config.state)
    known = in_repository(pipeline(config), store)
    forms = allowed(store, known, asked.limits.accuracy_drop)
    turned = knobs(config, known, {name: list(labels) for name, labels in forms.items()}, asked.only)
    if not turned:
        raise InvalidRequest("There is nothing to be turned.", mend="Say another --only; the report lists all names.")
    hints = [Choice({one.name: one.values[1] for one in turned if one.name.startswith(FORM)})]
    hints = [one for one in hints if len(one.turned) > 1]
    search = Search(config.state.absolute() / FILE, _name(asked, store, turned), turned, hints, anew=asked.anew)
    before = len(search.known)
    watch(f"{len(turned)} knobs; {before} trials are known from before" if before else f"{len(turned)} knobs")
    with ExitStack() as stack:
        trials = Trials(stack, asked.load, quiet=quiet)
        rate = _search(search, trials, store, forms, asked, began + SEARCHING * asked.seconds, watch)
        best = search.best()
        left = began + asked.seconds - time.monotonic()
        rows, claims, better = _confirmed(best, trials, store, forms, asked, left, rate, watch)
    measured = Measurement(
        name="tune pipeline",
        command=asked.command,
        machine=machine(),
        versions=versions(),
        rows=[*rows_of(search.known, turned, before), *rows],
        claims=claims,
    )
    return Tuned(measured, best[0] if best else None, better, forms)


def _name(asked: Asked, store: Store, turned: list[Knob]) -> str:
    """Of the search: the same machine, artifacts, load, limits and grid go on with it."""
    served = {
        path.name: store.manifest(path.name).digest
        for path in sorted(store.repository.iterdir())
        if path.is_dir() and store.latest(path.name) is not None
    }
    told = machine()
    return identity(
        {
            "machine": [told["cpu"], told["cores"]],
            "versions": versions(),
            "served": served,
            "load": [asked.load.at_once, asked.load.repeats, list(asked.load.families)],
            "limits": [asked.limits.p99_ms, asked.limits.memory_mib, asked.limits.accuracy_drop],
            "knobs": [[one.name, *one.labels] for one in turned],
        }
    )


def _search(
    search: Search,
    trials: Trials,
    store: Store,
    forms: Mapping[str, Mapping[str, str]],
    asked: Asked,
    until: float,
    watch: Watch,
) -> float:
    """Try one after the other, and one however little time there is; seconds that a pair took, at the median."""
    took: list[float] = []
    tried = fruitless = 0
    while tried == 0 or time.monotonic() < until:
        tried += 1
        running = search.next()
        watch(f"trial {len(search.known) + 1}: {running.choice.words}")
        try:
            facts = _try(running, trials, store, forms, asked, took)
            fruitless = 0
            watch(f"trial {len(search.known)}: {100 * (facts['ratio'] - 1):+.1f} % time, {running.choice.words}")
        except PixelisError as error:
            running.failed(str(error))
            fruitless += 1
            watch(f"trial {len(search.known)} cannot be served: {error}")
            if fruitless == FRUITLESS:
                mend = f"The last reason: {error}"
                raise SetupError(f"{FRUITLESS} trials in a row cannot be served.", mend=mend) from None
    return float(np.median(took)) if took else 1.0


def _try(
    running: Running,
    trials: Trials,
    store: Store,
    forms: Mapping[str, Mapping[str, str]],
    asked: Asked,
    took: list[float],
) -> dict[str, Any]:
    seen, broken_off = Seen(), False
    with trials.beside(lambda to: variant("trial", running.choice, forms, store, to)) as served:
        first = began = time.monotonic()
        for pair in trials.pairs(served):
            seen.ratios.append(pair.ratio)
            seen.answered += pair.b.answered
            took.append(time.monotonic() - began)
            began = time.monotonic()
            if _enough(len(seen.ratios), began - first):
                break
            broken_off = running.worse(seen.ratios)
            if broken_off:
                break
        seen.pss_mib = memory(served)
    facts = seen.row()
    running.ended(facts, asked.limits.over(facts), broken_off=broken_off)
    return facts


def _enough(pairs: int, seconds: float) -> bool:
    return pairs >= PAIRS[1] or (pairs >= PAIRS[0] and seconds >= ASKING_S)


def _confirmed(
    best: tuple[Choice, dict[str, Any]] | None,
    trials: Trials,
    store: Store,
    forms: Mapping[str, Mapping[str, str]],
    asked: Asked,
    left: float,
    rate: float,
    watch: Watch,
) -> tuple[list[dict[str, Any]], list[Claim], bool]:
    """The best against what is served, on new questions; rows, the claim, and whether it is better."""
    if best is None:
        return [], [], False
    choice, facts = best
    most = int(min(MOST, max(LEAST, left / rate)))
    watch(f"against what is served, {most} pairs at most: {choice.words}")
    plan = comparison.Plan(
        Side("base", HERE, {}), Side("tuned", HERE, choice.settings), most, asked.load.at_once, "interleaved", ALPHA,
        None, asked.command, asked.load.count,
    )  # fmt: skip
    with trials.beside(lambda to: variant("tuned", choice, forms, store, to)) as served:
        found = comparison.compare(trials.base, served, trials.supply, plan)
        usages = [trials.base.usage(), served.usage()]
    judged = verdict.judged(found.latency, found.seen)
    sides = verdict.sides(found.seen, usages)
    over = asked.limits.over(sides[1])
    right = next(one for one in judged if one.respect == "right")
    kept = not any(one > 0 for one in over.values()) and -right.change <= asked.limits.accuracy_drop
    better = verdict.verdict(judged) == "better" and kept
    row = verdict_row(choice, facts, found.latency, kept, better)
    return [*sides, *(one.row() for one in judged), row], [_claim(row)], better


def _claim(row: Mapping[str, Any]) -> Claim:
    """Better than what is served, or what is served is within some per cent of the best that was found."""
    if row["better"]:
        text = "the best found takes less time than what is served"
        return Claim(claim=text, target=0.0, measured=row["less_time_%"], unit="%", met=True)
    text = f"at most so much less time than what is served, with {100 * (1 - ALPHA):g} % certainty"
    return Claim(claim=text, target=NEAR, measured=row["at_most_%"], unit="%", met=row["at_most_%"] <= NEAR)
