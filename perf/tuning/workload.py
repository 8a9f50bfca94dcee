"""What both sides are asked while settings are searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builder.nano.questions import Family
from perf.e2e.questions import Asked, Supply, unseen_seed
from perf.e2e.repeats import repeated

BLOCK = 20
"""Questions of a stretch in which some come again."""
CROWD = 8
"""Questions of a pair, at least, where several are in flight."""


@dataclass(frozen=True)
class Workload:
    """The load that is made fast.

    Attributes:
        at_once: questions in flight: with 1, latency is made small, with more, throughput large.
        repeats: the share of questions that were asked before.
        families: of questions.
    """

    at_once: int
    repeats: float
    families: tuple[Family, ...]

    @property
    def count(self) -> int:
        """Questions of a pair."""
        return 1 if self.at_once == 1 else max(CROWD, self.at_once)

    def supply(self) -> Supply | Repeating:
        """Questions that no command asked before."""
        new = Supply(self.families, unseen_seed())
        return Repeating(new, self.repeats) if self.repeats else new


class Repeating:
    """Questions of which some come again within a stretch.

    Args:
        new: those that do not.
        share: of the others.
    """

    def __init__(self, new: Supply, share: float) -> None:
        self._new, self._share, self._seed = new, share, 0
        self.families = new.families

    def __call__(self, scenes: int) -> Sequence[Asked]:
        """A stretch of them; `scenes` is as `Supply` has it, and no less than that many questions come."""
        self._seed += 1
        return repeated(self._new, max(BLOCK, scenes * self.families), self._seed, self._share)
