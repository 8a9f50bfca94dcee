"""How hard an operation may look, and how hard it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pixelis.operations_config import FULL, Ladder


@dataclass
class Effort:
    """The looks of one operation. Not for several threads.

    Attributes:
        ladder: what it may do.
        resolution: share of the full resolution's sides at which it answered.
        looks: how many it took.
        skipped: what was left out because the answer was certain, in words (`frames 12-40`, `180 degree check`).
    """

    ladder: Ladder = FULL
    resolution: float = 1.0
    looks: int = 0
    skipped: list[str] = field(default_factory=list)

    def steps(self) -> Iterator[float]:
        """Resolutions to look at, lowest first, as shares; each one that is taken is counted and remembered."""
        for step in self.ladder.steps:
            self.looks, self.resolution = self.looks + 1, step
            yield step

    def enough(self, confidence: float) -> bool:
        """Whether a look that saw with `confidence` (0-1) was the last one that is needed."""
        return confidence >= self.ladder.enough

    def skip(self, what: str) -> bool:
        """Whether `what` may be left out, which is then recorded."""
        if self.ladder.stop_early:
            self.skipped.append(what)
        return self.ladder.stop_early
