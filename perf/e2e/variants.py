"""How the plain process may use its threads; the fastest way on this machine is the baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from perf.e2e.load import Block


@dataclass(frozen=True)
class Variant:
    """One way.

    Attributes:
        workers: requests at a time; more wait in the queue.
        threads: intra-op threads of every model.
    """

    workers: int
    threads: int

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.workers} at a time, {self.threads} thread{'s' if self.threads > 1 else ''} each"


@dataclass(frozen=True)
class Trial:
    """What a variant did.

    Attributes:
        variant: which one.
        single: alone.
        crowded: at the highest concurrency.
    """

    variant: Variant
    single: Block
    crowded: Block

    def row(self, chosen: Sequence[str]) -> dict[str, Any]:
        """For the report; `chosen` says what it is the baseline of."""
        return {
            "row": "plain variant",
            "variant": self.variant.label,
            "p50_ms": round(median(self.single.latencies), 1),
            "throughput_per_s": round(self.crowded.throughput, 3),
            "baseline_of": list(chosen),
        }


def variants(threads: int) -> list[Variant]:
    """One request at a time on all threads, one on one thread, and as many as there are threads on one each."""
    return list(dict.fromkeys([Variant(1, threads), Variant(1, 1), Variant(threads, 1)]))


def choose(trials: Sequence[Trial]) -> tuple[Variant, Variant]:
    """The variant with the least latency alone, and the one with the most answers a second when crowded."""
    lowest = min(trials, key=lambda trial: median(trial.single.latencies))
    most = max(trials, key=lambda trial: trial.crowded.throughput)
    return lowest.variant, most.variant


Measure = Callable[[Variant, int], Block]
"""(variant, concurrency) -> what it did."""


def try_out(measure: Measure, threads: int, highest: int) -> list[Trial]:
    """Every variant, alone and crowded."""
    return [Trial(variant, measure(variant, 1), measure(variant, highest)) for variant in variants(threads)]
