"""COCO's run-length masks: column-major runs, beginning with zeros; as numbers or as COCO's compressed text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidOperation
from pixelis.rle import pack, unpack
from python_backends.visual_ops.arguments import Rle, Size

Mask = NDArray[np.bool_]
"""`[height, width]`."""


def encode(mask: Mask) -> dict[str, object]:
    """`{"size": [height, width], "counts": text}`, as pycocotools writes it."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [not mask.T.flat[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], edges])).tolist()
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": pack(counts)}


def decode(rle: Rle, size: Size) -> Mask:
    """The mask of an image of `size` (width, height).

    Raises:
        InvalidOperation: another size, runs that do not add up, text that is no COCO code, or an empty mask.
    """
    height, width = rle.size
    if (width, height) != size:
        raise InvalidOperation(f"The mask is of a {width}x{height} image; this one is {size[0]}x{size[1]}.")
    counts = unpack(rle.counts) if isinstance(rle.counts, str) else rle.counts
    if any(count < 0 for count in counts) or sum(counts) != width * height:
        raise InvalidOperation(f"The mask's runs do not add up to {width * height} pixels.")
    values = np.arange(len(counts)) % 2 == 1
    mask = np.repeat(values, counts).reshape((height, width), order="F")
    if not mask.any():
        raise InvalidOperation("The mask is empty.", mend="At least one pixel must be set.")
    return np.asarray(mask, dtype=np.bool_)
