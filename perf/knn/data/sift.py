"""SIFT descriptors (Lowe 2004) of the pictures, turned, scaled and darkened until there are enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.nano.words import Split as Side
from perf.knn.data.kept import kept
from perf.knn.data.pictures import pictures
from python_backends.experience.tuning import Split

Watch = Callable[[str], None]
MOST = 1_000_000


def sift(state: Path, stored: int, queries: int, watch: Watch) -> Split:
    """`[n, 128]` descriptors of some pictures, queries of others; kept in `state` as the bytes that they are."""
    made = kept(
        state / "bench" / "sift.npz",
        f"{cv2.__version__} {MOST} {queries}",
        lambda: {"stored": _enough("train", MOST, watch), "queries": _enough("held_out", queries, watch)},
    )
    return Split(made["stored"][:stored].astype(np.float32), made["queries"][:queries].astype(np.float32))


def _enough(side: Side, count: int, watch: Watch) -> NDArray[np.uint8]:
    """`count` different descriptors in random order."""
    parts: list[NDArray[np.uint8]] = []
    for picture in _varied(side):
        found = cv2.SIFT.create(contrastThreshold=0.01).detectAndCompute(picture, None)[1]
        if found is None:
            continue
        parts.append(np.clip(found, 0, 255).astype(np.uint8))
        have = sum(map(len, parts))
        if len(parts) % 20 == 0:
            watch(f"SIFT descriptors: {min(have, count)} of {count}")
        if have > 1.1 * count:
            break
    made = np.unique(np.concatenate(parts), axis=0)
    made = made[made.any(axis=1)]
    return np.ascontiguousarray(made[np.random.default_rng(2).permutation(len(made))[:count]])


def _varied(side: Side) -> Iterator[NDArray[np.uint8]]:
    """Endless versions of the pictures, in grey."""
    found = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures(side)]
    rng = np.random.default_rng(3)
    while True:
        for picture in found:
            height, width = picture.shape
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(0, 360), rng.uniform(0.7, 1.4))
            made = cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
            yield np.clip(made * rng.uniform(0.6, 1.2), 0, 255).astype(np.uint8)
