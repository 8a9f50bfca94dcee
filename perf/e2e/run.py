"""Both sides in turn, A B A B, on the same questions; while one is measured the other one waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perf.e2e.counters import Counters, Samples
from perf.e2e.load import Block, closed_loop
from perf.e2e.processes import Usage
from perf.e2e.questions import Asked, Supply
from perf.e2e.repeats import repeated
from perf.e2e.sides import Plain, Served, Side
from perf.e2e.variants import Trial, Variant, choose, try_out, variants
from pixelis.errors import ServingError

CROWD = 4
"""Requests of a block for each that is in flight, at least: the last ones of a block are not crowded any more."""
REPEATED = 5
"""Requests of a block in which questions come again, for each family, at least: one of five is new."""


@dataclass
class Found:
    """What was measured.

    Attributes:
        blocks: (side, concurrency) -> a block each round, of questions that come once.
        repeats: the same, of questions most of which were asked before.
        usage: (side, concurrency) -> what its processes had used before and after each block.
        counters: concurrency -> Triton's own.
        trials: of the plain variants.
        single: the baseline at one request at a time.
        crowded: the baseline at more.
    """

    single: Variant
    crowded: Variant
    trials: list[Trial] = field(default_factory=list)
    blocks: dict[tuple[str, int], list[Block]] = field(default_factory=dict)
    repeats: dict[tuple[str, int], list[Block]] = field(default_factory=dict)
    usage: dict[tuple[str, int], list[tuple[list[Usage], list[Usage]]]] = field(default_factory=dict)
    counters: dict[int, Counters] = field(default_factory=dict)


class Bench:
    """One benchmark.

    Args:
        plain: loaded.
        served: ready.
        supply: of questions.
        scenes: of each family in a block, at least.
        levels: requests at once.
        threads: that the plain side may use.
        metrics: reads Triton's metrics.
        step: called with what is done next, once a block.
    """

    def __init__(
        self,
        plain: Plain,
        served: Served,
        supply: Supply,
        scenes: int,
        levels: Sequence[int],
        threads: int,
        metrics: Callable[[], Samples],
        step: Callable[[str], None],
    ) -> None:
        self._plain, self._served = plain, served
        self._supply, self._scenes = supply, scenes
        self._levels, self._threads = levels, threads
        self._metrics, self._step = metrics, step
        self._variant: Variant | None = None

    @staticmethod
    def steps(levels: Sequence[int], rounds: int, threads: int) -> int:
        """How often `step` will be called."""
        return 4 * len(levels) * rounds + 2 * len(variants(threads)) + 1

    def run(self, rounds: int) -> Found:
        """Warm up, choose the baseline, measure.

        Raises:
            ServingError: no question was answered by a side.
        """
        self._step("warming up")
        highest = max(self._levels)
        self._block(self._served, highest, self.questions(highest))
        trials = try_out(self._tried, self._threads, highest)
        found = Found(*choose(trials), trials)
        for number in range(rounds):
            for level in self._levels:
                asked = self.questions(level)
                self.use(found.single if level == 1 else found.crowded)
                for side in (self._plain, self._served):
                    self._step(f"round {number + 1}: {side.name}, {level} at once")
                    self._measure(found, side, level, asked)
                self._repeat(found, level, number)
        return found

    def _repeat(self, found: Found, level: int, number: int) -> None:
        count = max(REPEATED * self._supply.families, CROWD * level)
        asked = repeated(self._supply, count, number)
        for side in (self._plain, self._served):
            self._step(f"round {number + 1}: {side.name}, {level} at once, repeated")
            block = closed_loop(side.ask, asked, level)
            _require_answers(side, block)
            found.repeats.setdefault((side.name, level), []).append(block)

    def _measure(self, found: Found, side: Side, level: int, asked: Sequence[Asked]) -> None:
        counted, used = self._metrics(), side.usage()
        block = closed_loop(side.ask, asked, level)
        found.usage.setdefault((side.name, level), []).append((used, side.usage()))
        if side.name == self._served.name:
            found.counters.setdefault(level, Counters()).add(counted, self._metrics())
        _require_answers(side, block)
        found.blocks.setdefault((side.name, level), []).append(block)

    def _tried(self, variant: Variant, level: int) -> Block:
        self._step(f"trying plain, {variant.label}, {level} at once")
        self.use(variant)
        # As many at a time as it has workers: more wait in its queue, and would make the trial longer, not better.
        return self._block(self._plain, level, self.questions(min(level, variant.workers)))

    def _block(self, side: Side, level: int, asked: Sequence[Asked]) -> Block:
        block = closed_loop(side.ask, asked, level)
        _require_answers(side, block)
        return block

    def use(self, variant: Variant) -> None:
        """Let the plain side work in this way; its new threads answer a few questions before they are measured."""
        if variant == self._variant:
            return
        self._plain.process.use(variant.workers, variant.threads)
        self._variant = variant
        closed_loop(self._plain.ask, self.questions(variant.workers), variant.workers)

    def questions(self, level: int) -> list[Asked]:
        """New ones, the same number of each family; both sides get the same."""
        return self._supply(max(self._scenes, -(-CROWD * level // self._supply.families)))


def _require_answers(side: Side, block: Block) -> None:
    if not block.latencies:
        reasons = "; ".join(sorted({one.error for one in block.answered if one.error})[:3])
        raise ServingError(f"The {side.name} side answered nothing: {reasons}")
