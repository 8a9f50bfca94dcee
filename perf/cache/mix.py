"""Requests most of which were made before."""

from __future__ import annotations

import random
from dataclasses import replace

from builder.nano.questions import FAMILIES
from perf.e2e.questions import Asked, Supply

REPEATED = 0.8


class Mix:
    """Questions of every family; `repeated` of them were asked before, any of those as likely as another.

    Args:
        seed: the same one asks the same.
        repeated: their share.
    """

    def __init__(self, seed: int, repeated: float = REPEATED) -> None:
        self._random, self._repeated = random.Random(seed), repeated
        self._supply = Supply(list(FAMILIES))
        self._fresh: list[Asked] = []
        self.asked: list[Asked] = []

    def __call__(self, count: int) -> list[Asked]:
        """The next `count`."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Asked:
        if self.asked and self._random.random() < self._repeated:
            return self._random.choice(self.asked)
        if not self._fresh:
            self._fresh = self._supply(1)
        made = self._fresh.pop()
        made = replace(made, options=made.options.model_copy(update={"use_cache": True}))
        self.asked.append(made)
        return made
