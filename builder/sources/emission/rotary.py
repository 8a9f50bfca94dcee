"""Cosines and sines of the rotary positions, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from builder.sources.emission.shape import DecoderShape

Floats = NDArray[np.float32]
STEP = 16384
"""Positions of a block."""


def frequencies(shape: DecoderShape) -> Floats:
    """Radians a position `[head_dim / 2]`, in single precision as transformers has them."""
    exponents = np.arange(0, shape.head_dim, 2, dtype=np.float32) / np.float32(shape.head_dim)
    rates: Floats = (np.float32(1) / np.float32(shape.theta) ** exponents).astype(np.float32)
    return rates


def cosines(shape: DecoderShape) -> Iterator[Floats]:
    """`[positions, head_dim / 2]` in blocks."""
    return (np.cos(angles) for angles in _angles(shape))


def sines(shape: DecoderShape) -> Iterator[Floats]:
    """`[positions, head_dim / 2]` in blocks."""
    return (np.sin(angles) for angles in _angles(shape))


def _angles(shape: DecoderShape) -> Iterator[Floats]:
    rates = frequencies(shape)
    for start in range(0, shape.positions, STEP):
        places = np.arange(start, min(start + STEP, shape.positions), dtype=np.float32)
        yield places[:, None] * rates
