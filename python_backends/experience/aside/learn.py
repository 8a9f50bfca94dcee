"""Building an index of vectors that are there, without the originals: those need no work, and stay where they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import faiss
import numpy as np
from numpy.typing import NDArray

from pixelis.index_config import IndexConfig
from python_backends.experience.aside.block import Block
from python_backends.experience.aside.gently import gently
from python_backends.experience.aside.run import Aside
from python_backends.experience.indexes import FaissIndex, open_index

Vectors = NDArray[np.float32]

SLICE = 256
LEARN_FROM = 32_768
"""Vectors, evenly spaced, that an index is trained on."""


def learn(config: IndexConfig, vectors: Vectors) -> FaissIndex:
    """An index of `vectors` `[n, D]` under their positions, without the originals of `refine`."""
    made = open_index(config.model_copy(update={"refine": None}), vectors.shape[1])
    if made.needed:
        most = max(LEARN_FROM, made.needed)
        rows = np.linspace(0, len(vectors) - 1, min(len(vectors), most)).astype(np.int64)
        made.train(np.ascontiguousarray(vectors[rows]))
    for start in range(0, len(vectors), SLICE):
        part = vectors[start : start + SLICE]
        made.add(np.arange(start, start + len(part)), part)
    return made


def write(made: FaissIndex, descriptor: int) -> None:
    """What `made` has learned, in FAISS's own format."""
    faiss.write_index(made.learned, _path(descriptor))


def build_aside(
    made: FaissIndex, base: FaissIndex, room: Callable[[int], int], aside: Aside, between: Callable[[], None]
) -> None:
    """Fill `made`, which is empty, with all that live in `base`, learning in a process of its own.

    Args:
        made: verbatim, and not exact.
        base: frozen.
        room: for so many vectors, how many more there must be room for.
        aside: runs the process.
        between: called now and then; what it raises ends the work.

    Raises:
        ServingError: the process died again and again.
    """
    ids: list[NDArray[np.int64]] = []

    def living() -> Iterator[Vectors]:
        for numbers, vectors in base.slices(SLICE):
            ids.append(numbers)
            yield vectors

    width = int(made.parameters()["width"])
    with Block(width, gently(living(), between)) as block:
        result = os.memfd_create("pixelis-index")
        try:
            job = {"task": "learn", "config": made.config.model_dump(mode="json")}
            aside.run(job, [block], between, result)
            learned = faiss.read_index(_path(result))
        finally:
            os.close(result)
        numbers = np.concatenate(ids) if ids else np.zeros(0, np.int64)
        made.adopt(learned, numbers, gently(block.slices(SLICE), between), room(len(numbers)))


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
