"""The next base: what is in the present one and in the frozen tail, in an index of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.index_config import IndexConfig
from python_backends.experience.indexes import FaissIndex, open_index

SLICE = 256
"""Vectors that are added in one go; between two, the work can be stopped."""

LEARN_FROM = 32_768
"""Vectors, evenly spaced, that an index is trained on."""


class Stopped(Exception):
    """The work was given up, because nobody waits for it any more."""


@dataclass(frozen=True)
class Plan:
    """What is to be built. It changes nothing that is searched meanwhile.

    Attributes:
        config: of the new base; a flat one where few vectors are left.
        width: D.
        threads: of its batches.
        sources: what goes in, all of it frozen: the present base, if any, and the tail.
        extended: whether the others are added to a copy of the first; otherwise all is learned again.
    """

    config: IndexConfig
    width: int
    threads: int
    sources: Sequence[FaissIndex]
    extended: bool


def build(plan: Plan, stop: Callable[[], bool]) -> FaissIndex:
    """The new base, with everything that lived when it was made.

    Raises:
        Stopped: `stop` said so.
    """
    if plan.extended:
        made, rest = plan.sources[0].clone(), plan.sources[1:]
    else:
        made, rest = open_index(plan.config, plan.width, plan.threads), plan.sources
        if made.needed:
            made.train(_sample(plan.sources, max(LEARN_FROM, made.needed)))
    made.compacts = False
    for source in rest:
        for ids, vectors in source.slices(SLICE):
            if stop():
                raise Stopped
            made.add(ids, vectors)
    return made


def _sample(sources: Sequence[FaissIndex], most: int) -> NDArray[np.float32]:
    """At most `most` vectors, from each source as many as its share of all."""
    total = sum(map(len, sources))
    shares = [-(-most * len(source) // total) for source in sources]
    parts = [v for s, share in zip(sources, shares, strict=True) for _, v in s.slices(max(share, 1), max(share, 1))]
    return np.concatenate(parts)
