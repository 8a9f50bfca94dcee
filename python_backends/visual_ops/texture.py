"""Texture of an object: grey-level co-occurrence and local binary patterns.

Haralick, Shanmugam, Dinstein, IEEE SMC-3(6), 1973; Ojala, Pietikäinen, Mäenpää, IEEE PAMI 24(7), 2002.
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.visual_ops.rle import Mask

V = TypeVar("V", bound=np.generic)

LEVELS = 16
WORK_SIDE = 160
SMOOTH = 0.12
"""Contrast (in squared grey levels) under which a surface is called smooth; `coarse` begins at 16 times this."""
_OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1))
_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def texture_of(pixels: Pixels, mask: Mask) -> dict[str, float | str]:
    """Texture inside `mask`, pairs across its border left out.

    Returns:
        `contrast`, `homogeneity`, `energy` and `correlation` of neighbouring pixels at 16 grey levels, mean of four
        directions; `lbp_entropy`, bits of the uniform local binary patterns; `name`: smooth, fine or coarse.
    """
    scale = min(1.0, WORK_SIDE / max(mask.shape))
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    grey = cv2.cvtColor(
        np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), cv2.COLOR_RGB2GRAY
    )
    inside = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    measures = _cooccurrence((grey // (256 // LEVELS)).astype(np.int64), inside)
    contrast = measures["contrast"]
    name = "smooth" if contrast < SMOOTH else "fine" if contrast < 16 * SMOOTH else "coarse"
    return {
        "name": name,
        **{key: round(value, 4) for key, value in measures.items()},
        "lbp_entropy": _lbp_entropy(grey, inside),
    }


def _cooccurrence(levels: NDArray[np.int64], inside: Mask) -> dict[str, float]:
    table = np.zeros((LEVELS, LEVELS))
    for dy, dx in _OFFSETS:
        first, second = _pairs(levels, dy, dx)
        both = np.logical_and(*_pairs(inside, dy, dx))
        counts = np.bincount((first * LEVELS + second)[both], minlength=LEVELS**2).reshape(LEVELS, LEVELS)
        table += counts + counts.T
    if not table.any():  # a single pixel has no neighbour: it is as even as can be
        return {"contrast": 0.0, "homogeneity": 1.0, "energy": 1.0, "correlation": 1.0}
    share = table / table.sum()
    i, j = np.mgrid[:LEVELS, :LEVELS]
    mean = float((share * i).sum())
    variance = float((share * (i - mean) ** 2).sum())
    covariance = float((share * (i - mean) * (j - mean)).sum())
    return {
        "contrast": float((share * (i - j) ** 2).sum()),
        "homogeneity": float((share / (1 + (i - j) ** 2)).sum()),
        "energy": float(np.sqrt((share**2).sum())),
        "correlation": covariance / variance if variance > 1e-12 else 1.0,
    }


def _pairs(values: NDArray[V], dy: int, dx: int) -> tuple[NDArray[V], NDArray[V]]:
    """`values` and `values` one step on, where both exist."""
    height, width = values.shape
    left, right = max(-dx, 0), min(width, width - dx)
    return values[: height - dy, left:right], values[dy:, left + dx : right + dx]


def _lbp_entropy(grey: NDArray[np.uint8], inside: Mask) -> float:
    if min(grey.shape) < 3:
        return 0.0
    height, width = grey.shape
    middle = grey[1:-1, 1:-1]
    bits = np.stack([grey[1 + dy : height - 1 + dy, 1 + dx : width - 1 + dx] >= middle for dy, dx in _AROUND])
    changes = (bits != np.roll(bits, 1, axis=0)).sum(0)
    # Uniform patterns (at most two changes around the circle) by their number of ones; all others are one class.
    pattern = np.where(changes <= 2, bits.sum(0), 9)[inside[1:-1, 1:-1]]
    if not len(pattern):
        return 0.0
    share = np.bincount(pattern, minlength=10) / len(pattern)
    share = share[share > 0]
    return round(abs(float((share * np.log2(share)).sum())), 4)
