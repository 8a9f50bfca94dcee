"""COCO's run-length masks as pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidOperation
from pixelis.rle import unpack

Mask = NDArray[np.bool_]
"""`[height, width]`."""


def decode(rle: Any) -> Mask | None:
    """The mask that `{"size": [height, width], "counts": ...}` is; nothing for what is none."""
    if not isinstance(rle, dict) or not {"size", "counts"} <= rle.keys():
        return None
    try:
        height, width = (int(side) for side in rle["size"])
        counts = unpack(rle["counts"]) if isinstance(rle["counts"], str) else [int(count) for count in rle["counts"]]
    except (InvalidOperation, TypeError, ValueError):
        return None
    if min(counts, default=-1) < 0 or sum(counts) != width * height:
        return None
    runs = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.asarray(runs.reshape((height, width), order="F"), np.bool_)
