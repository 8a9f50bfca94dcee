"""A choice, served beside what is served now, and asked the same questions in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from perf.compare.pairs import Pair, pairs
from perf.e2e.load import Answered
from perf.e2e.sides import Served
from perf.sides import HERE, Side, serve
from perf.signed_rank import shift
from perf.tuning.workload import Workload
from pixelis.errors import ServingError

WARM = 2
"""Pairs that are asked first and not looked at."""
Z = 1.96


@dataclass
class Seen:
    """What pairs said of a choice.

    Attributes:
        ratios: its time as a multiple of that of what is served now, a pair each.
        answered: all its requests.
        pss_mib: memory of all its processes at the end.
    """

    ratios: list[float] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    pss_mib: float = 0.0

    def row(self) -> dict[str, Any]:
        """Ratio with its interval of 95 %, latency, accuracy, memory."""
        logs = shift(np.log(self.ratios), Z)
        times = [one.ms for one in self.answered if one.result is not None]
        p50, p99 = np.percentile(times, (50, 99))
        right = [one.result is not None and one.asked.question.right(one.result.answer) for one in self.answered]
        return {
            "ratio": round(float(np.exp(logs.difference)), 4),
            "ratio_low": round(float(np.exp(logs.low)), 4),
            "ratio_high": round(float(np.exp(logs.high)), 4),
            "pairs": len(self.ratios),
            "p50_ms": round(float(p50), 1),
            "p99_ms": round(float(p99), 1),
            "right": round(sum(right) / len(right), 4),
            "pss_mib": self.pss_mib,
        }


class Trials:
    """Serves what is served now for as long as it lives, and choices beside it, one after the other.

    Args:
        stack: what was started is stopped with it.
        load: what is asked.
        quiet: no progress of starts.
    """

    def __init__(self, stack: ExitStack, load: Workload, *, quiet: bool) -> None:
        self._quiet, self.load = quiet, load
        self.supply = load.supply()
        self.base = serve(stack, Side("base", HERE, {}), quiet=quiet)

    @contextmanager
    def beside(self, make: Callable[[Path], Side]) -> Iterator[Served]:
        """What `make` lays out in a folder, served; stopped at the end.

        Raises:
            PixelisError: it cannot be, or does not start.
        """
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pixelis-tune-")))
            yield serve(stack, make(folder / "repository"), quiet=self._quiet)

    def pairs(self, other: Served) -> Iterator[Pair]:
        """Of what is served now and the other one, without end; the first ones, which warm up, are left out.

        Raises:
            ServingError: one of the two answers nothing.
        """
        endless = pairs(self.base, other, self.supply, self.load.at_once, "interleaved", count=self.load.count)
        for pair in islice(endless, WARM, None):
            for name, block in (("What is served", pair.a), ("The choice", pair.b)):
                if not block.latencies:
                    raise ServingError(f"{name} answers nothing: {block.answered[0].error}", mend="Its log says more.")
            yield pair


def memory(side: Served) -> float:
    """MiB of all its processes."""
    return round(sum(one.pss_bytes for one in side.usage()) / 2**20, 1)
