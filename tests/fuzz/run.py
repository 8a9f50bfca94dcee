"""Runs a parser on many cases and counts what it took.

    PIXELIS_FUZZ_CASES   of each parser; by default a few, the same ones every time
    PIXELIS_FUZZ_SEED    where the cases begin; by default another one each time where a number is said, else 0

Cases come in blocks, each from a seed of its own, so that memory stays what it is and a failure is replayed by its
block alone.
"""

from __future__ import annotations

import os
import resource
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from pixelis.errors import PixelisError

T = TypeVar("T")
CASES, SEED = "PIXELIS_FUZZ_CASES", "PIXELIS_FUZZ_SEED"
FEW = 200
BLOCK = 2000
SECONDS = 2.0
"""Of a processor, for one case."""
GROWTH = 2**28
"""Bytes by which the most that the process ever held may grow within one case."""
SHARE = (0.1, 0.9)
"""Least and largest share of cases that are taken: beside them, little is tried."""
_SETTINGS = settings(
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def cases() -> int:
    """How many a parser gets."""
    return int(os.environ.get(CASES) or FEW)


def first_seed() -> int:
    """Where they begin."""
    if said := os.environ.get(SEED):
        return int(said)
    return SystemRandom().randrange(10**9) if os.environ.get(CASES) else 0


def parsed(call: Callable[[], T], *refusals: type[Exception]) -> T | None:
    """What a parser makes of a case; none where it refuses it in words that can be read and can travel."""
    try:
        return call()
    except refusals as error:
        said = error
    assert not isinstance(said, PixelisError) or 0 < len(str(said).encode()) < 40_000
    return None


@dataclass
class Fuzz:
    """One parser's cases.

    Attributes:
        name: of the test, which a replay asks for.
        record: is told when all is done, or something failed.
        done: cases so far.
        taken: how many of them the parser took.
        seconds: of a processor.
    """

    name: str
    record: Callable[[Fuzz], None]
    done: int = 0
    taken: int = 0
    seconds: float = 0.0

    def given(
        self, strategy: SearchStrategy[T], holds: Callable[[T], bool], share: tuple[float, float] = SHARE
    ) -> None:
        """Cases of hypothesis.

        Args:
            strategy: makes a case.
            holds: whether the parser took it; raises where it did neither that nor refuse it in the way it says.
            share: see `SHARE`.
        """

        def block(begin: int, count: int) -> None:
            @seed(begin)
            @settings(_SETTINGS, max_examples=count)
            @given(strategy)
            def run(case: T) -> None:
                self._judge(holds, case)

            run()

        self._run(block, share)

    def loop(self, make: Callable[[Random], T], holds: Callable[[T], bool], share: tuple[float, float] = SHARE) -> None:
        """Cases that are made of random numbers alone, for parsers of files: many times as fast as `given`."""

        def block(begin: int, count: int) -> None:
            rng = Random(begin)
            for _ in range(count):
                case = make(rng)
                try:
                    self._judge(holds, case)
                except BaseException:
                    print(f"The case: {_brief(case)}")
                    raise

        self._run(block, share)

    def _run(self, block: Callable[[int, int], None], share: tuple[float, float]) -> None:
        total, begin = cases(), first_seed()
        salt = zlib.crc32(self.name.encode())
        started = time.thread_time()
        try:
            for number, done in enumerate(range(0, total, BLOCK)):
                count = min(BLOCK, total - done)
                replay = f"{SEED}={begin + number} {CASES}={count}"
                try:
                    block(salt + begin + number, count)
                except BaseException:
                    print(f"Replay it: {replay} python -m pytest '{self.name}'")
                    raise
        finally:
            self.seconds = time.thread_time() - started
            self.record(self)
        if total >= FEW:
            least, most = share
            assert least <= self.taken / self.done <= most, f"{self.taken} of {self.done} cases were taken"

    def _judge(self, holds: Callable[[T], bool], case: T) -> None:
        before, started = _peak(), time.thread_time()
        taken = holds(case)
        assert time.thread_time() - started < SECONDS, "It took too long."
        assert _peak() - before < GROWTH, "It took too much memory."
        self.done += 1
        self.taken += taken


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _brief(case: Any) -> str:
    text = repr(case)
    return text if len(text) < 4000 else f"{text[:4000]}... ({len(text)} characters)"
