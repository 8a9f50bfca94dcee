"""COCO's run-length masks: column-major runs, beginning with zeros; as numbers or as COCO's compressed text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidOperation
from python_backends.visual_ops.arguments import Rle, Size

Mask = NDArray[np.bool_]
"""`[height, width]`."""


def encode(mask: Mask) -> dict[str, object]:
    """`{"size": [height, width], "counts": text}`, as pycocotools writes it."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [not mask.T.flat[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], edges])).tolist()
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": _pack(counts)}


def decode(rle: Rle, size: Size) -> Mask:
    """The mask of an image of `size` (width, height).

    Raises:
        InvalidOperation: another size, runs that do not add up, text that is no COCO code, or an empty mask.
    """
    height, width = rle.size
    if (width, height) != size:
        raise InvalidOperation(f"The mask is of a {width}x{height} image; this one is {size[0]}x{size[1]}.")
    counts = _unpack(rle.counts) if isinstance(rle.counts, str) else rle.counts
    if any(count < 0 for count in counts) or sum(counts) != width * height:
        raise InvalidOperation(f"The mask's runs do not add up to {width * height} pixels.")
    values = np.arange(len(counts)) % 2 == 1
    mask = np.repeat(values, counts).reshape((height, width), order="F")
    if not mask.any():
        raise InvalidOperation("The mask is empty.", mend="At least one pixel must be set.")
    return np.asarray(mask, dtype=np.bool_)


def _pack(counts: list[int]) -> str:
    """COCO's text: differences to the run before last, 5 bits a character, least first."""
    text = []
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        while True:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            text.append(chr((bits | 0x20 if more else bits) + 48))
            if not more:
                break
    return "".join(text)


def _unpack(text: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 30:
            raise InvalidOperation("The mask's `counts` is not COCO's run-length text.")
        value |= (code & 0x1F) << shift
        shift += 5
        if not code & 0x20:
            if code & 0x10:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise InvalidOperation("The mask's `counts` is cut short.")
    return counts
