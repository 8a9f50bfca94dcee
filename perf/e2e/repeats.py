"""A workload in which questions come again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from perf.e2e.questions import Asked, Supply

SHARE = 0.8
"""Of requests that were asked before."""


def repeated(supply: Supply, count: int, seed: int, share: float = SHARE) -> list[Asked]:
    """`count` requests, of which `share` are any earlier one again and the others are new; caches may answer.

    Which are new is drawn, but for the first; how many is not.
    """
    drawn = random.Random(seed)
    new = max(1, round(count * (1 - share)))
    fresh = [replace(one, options=one.options.model_copy(update={"use_cache": True})) for one in _new(supply, new)]
    places = {0, *drawn.sample(range(1, count), new - 1)}
    waiting, asked = iter(fresh), list[Asked]()
    for place in range(count):
        asked.append(next(waiting) if place in places else drawn.choice(asked))
    return asked


def _new(supply: Supply, count: int) -> Sequence[Asked]:
    return supply(-(-count // supply.families))[:count]
