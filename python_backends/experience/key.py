"""The key by which experiences are found.

    key = [sqrt(w) * visual / |visual| ; sqrt(1 - w) * text / |text|],  w = 0.7

so that an inner product of two keys is `w * cos(visual) + (1 - w) * cos(text)`, whatever the two widths are.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest

VISUAL_WIDTH = 1280
TEXT_WIDTH = 384
WIDTH = VISUAL_WIDTH + TEXT_WIDTH


def retrieval_key(
    visual: NDArray[np.float32] | None, text: NDArray[np.float32] | None, visual_weight: float = 0.7
) -> NDArray[np.float32]:
    """The key of a view and a text.

    A side that is missing (`None`, or of length zero) makes a key for queries only: the other side is divided by the
    root of its weight, so that the inner product with a stored key is that side's cosine, and scores stay comparable.
    The store refuses such a key.

    Args:
        visual: `[1280]` embedding of the view, of any length.
        text: `[384]` embedding of the text, of any length.
        visual_weight: w, between 0 and 1.

    Returns:
        Float32 `[1664]`; of length 1 where both sides are there.

    Raises:
        InvalidRequest: both sides are missing, one has another width, or a value is not finite.
    """
    sides = [_unit(visual, VISUAL_WIDTH, "visual"), _unit(text, TEXT_WIDTH, "text")]
    roots = [math.sqrt(visual_weight), math.sqrt(1 - visual_weight)]
    if all(side is None for side in sides):
        raise InvalidRequest("A retrieval key needs a visual or a text embedding.", mend="Send an image or a question.")
    if any(side is None for side in sides):
        roots = [1 / root if root > 0 else 0.0 for root in roots]
    widths = (VISUAL_WIDTH, TEXT_WIDTH)
    parts = [
        np.zeros(width) if side is None else root * side for side, root, width in zip(sides, roots, widths, strict=True)
    ]
    key: NDArray[np.float32] = np.concatenate(parts).astype(np.float32)
    return key


def _unit(side: NDArray[np.float32] | None, width: int, name: str) -> NDArray[np.float64] | None:
    """`side` at length 1; none where it is missing or has no direction."""
    if side is None:
        return None
    if side.shape != (width,):
        raise InvalidRequest(f"The {name} embedding has shape {list(side.shape)}.", mend=f"It must be [{width}].")
    values = side.astype(np.float64)
    if not np.isfinite(values).all():
        raise InvalidRequest(f"The {name} embedding holds a value that is not a finite number.")
    norm = float(np.linalg.norm(values))
    return values / norm if norm > 0 else None
