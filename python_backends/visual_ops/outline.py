"""Where an object ends: its border to a pixel, and its outline (a rim of a colour of its own)."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.visual_ops.rle import Mask

WIDEST = 0.2
"""Width up to which a rim is an outline, as a share of the root of the object's area."""
OTHER = 9.0
"""Distance in Lab that makes a colour another one."""
MOST = 0.8
"""Share of a layer that has the rim's colour as long as it is still the rim."""


LEVEL = 2.0
"""Distance in Lab within which two layers are of one colour."""
BLUR = 2.0
"""Pixels on both sides of a border within which colours mix (scaling, compression)."""
BEYOND = 3.0
"""Pixels behind those from which the two sides' colours are taken."""


def settled(lab: NDArray[np.float32], mask: Mask) -> Mask:
    """`mask` with its border where the colour changes from the one side's to the other's.

    Args:
        lab: `[height, width, 3]`.
        mask: `[height, width]`.
    """
    outwards = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    inwards = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    inner, has_inner = local_colours(lab, (inwards > BLUR) & (inwards <= BLUR + BEYOND))
    outer, has_outer = local_colours(lab, (outwards > BLUR) & (outwards <= BLUR + BEYOND))
    band = has_inner & has_outer & (inwards <= BLUR) & (outwards <= BLUR)
    closer = np.linalg.norm(lab - inner, axis=2) <= np.linalg.norm(lab - outer, axis=2)
    return np.asarray(np.where(band, closer, mask), np.bool_)


def local_colours(lab: NDArray[np.float32], ring: Mask) -> tuple[NDArray[np.float32], Mask]:
    """Mean colour of the ring's pixels near each pixel, and where there are any.

    Args:
        lab: `[height, width, 3]`.
        ring: `[height, width]`.
    """
    reach = (int(2 * (BLUR + BEYOND)) + 1,) * 2
    weight = cv2.boxFilter(ring.astype(np.float32), -1, reach)
    colours = cv2.boxFilter(lab * ring[..., None], -1, reach) / (weight[..., None] + 1e-6)
    return np.asarray(colours, np.float32), np.asarray(weight > 1e-3, np.bool_)


def with_outline(lab: NDArray[np.float32], mask: Mask) -> Mask:
    """`mask` grown by its outline, where it has one.

    Args:
        lab: `[height, width, 3]`.
        mask: `[height, width]`.
    """
    widest = max(2, round(WIDEST * float(np.sqrt(mask.sum()))))
    depth = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    layers = [lab[(depth > d) & (depth <= d + 1)] for d in range(2 * widest + 2)]
    if any(len(layer) < 8 for layer in layers[: widest + 2]):
        return mask
    width = _width([layer for layer in layers if len(layer) >= 8], widest)
    return np.asarray(depth <= width, np.bool_)


def _width(layers: list[NDArray[np.float32]], widest: int) -> int:
    """Pixels of outline in front of what is behind; 0 for none.

    The rim's colour is that of the first even layer whose next one has the same, or else of its most even layer: the
    first layers are a mixture with the object. A layer belongs to the rim as long as most of it has that colour.
    """
    middles = [np.median(layer, axis=0) for layer in layers]
    own = [_share(layer, middle) for layer, middle in zip(layers, middles, strict=True)]
    steps = [float(np.linalg.norm(b - a)) for a, b in pairwise(middles)]
    level = (d for d in range(min(widest, len(steps))) if own[d] >= MOST and steps[d] < LEVEL)
    core = next(level, max(range(widest), key=lambda d: (round(own[d], 2), -d)))
    if own[core] < MOST:
        return 0
    share = [_share(layer, middles[core]) for layer in layers]
    ends = next((d for d in range(core, len(share)) if share[d] < MOST), None)
    return ends if ends is not None and ends <= widest else 0


def _share(colours: NDArray[np.float32], of: NDArray[np.float32]) -> float:
    """Share of `colours` `[n, 3]` that are the colour `of`."""
    return float((np.linalg.norm(colours - of, axis=1) < OTHER).mean())
