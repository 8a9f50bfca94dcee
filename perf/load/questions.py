"""What users ask: new questions, or some that come again."""

from __future__ import annotations

import random
from collections.abc import Sequence

from builder.nano.questions import FAMILIES
from perf.e2e.questions import Asked, Supply, families, unseen_seed
from perf.load.scenario import Users

POOL = 8
"""Scenes whose questions come again, of each family."""
KNOWN = 10**9
"""Seed of the first of them."""


class Questions:
    """The questions of one kind of users.

    Args:
        users: of which families, and how many come again.
        seed: none = new questions are new to every server: nobody asked them in an earlier run.
    """

    def __init__(self, users: Users, seed: int | None = None) -> None:
        chosen = families(",".join(users.families or FAMILIES))
        first = unseen_seed() if seed is None else seed
        self._share, self._draw = users.repeated, random.Random(first)
        self._new = Supply(chosen, first)
        self._known: Sequence[Asked] = Supply(chosen, KNOWN)(POOL) if users.repeated else ()
        self._waiting: list[Asked] = []

    def next(self) -> Asked:
        """One to ask."""
        if self._draw.random() < self._share:
            return self._draw.choice(self._known)
        if not self._waiting:
            self._waiting = self._new(1)[::-1]
        return self._waiting.pop()
