"""COCO's run-length masks as pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidOperation
from pixelis.rle import unpack

Mask = NDArray[np.bool_]
"""`[height, width]`."""


def decode(rle: Any, size: tuple[int, int]) -> Mask | None:
    """The mask that `{"size": [height, width], "counts": ...}` is; nothing for what is none, or of another size.

    Args:
        rle: as a server has said it.
        size: (width, height) of the picture. What says that it is larger is not made, whatever it says.
    """
    if not isinstance(rle, dict) or rle.get("size") != [size[1], size[0]]:
        return None
    try:
        counts = _counts(rle.get("counts"))
    except InvalidOperation:
        return None
    if min(counts, default=-1) < 0 or sum(counts) != size[0] * size[1]:
        return None
    runs = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.asarray(runs.reshape((size[1], size[0]), order="F"), np.bool_)


def _counts(said: Any) -> list[int]:
    """Lengths of the runs; none where they are neither COCO's text nor whole numbers. Raises `InvalidOperation`."""
    if isinstance(said, str):
        return unpack(said)
    whole = isinstance(said, list) and all(isinstance(count, int) and not isinstance(count, bool) for count in said)
    return said if whole else []
