"""Cosines and sines of the rotary positions, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from builder.checkpoints.architecture import Text

Floats = NDArray[np.float32]
STEP = 16384
"""Positions of a block."""


def frequencies(text: Text) -> Floats:
    """Radians a position `[head_dim / 2]`, in single precision as transformers has them."""
    exponents = np.arange(0, text.head_dim, 2, dtype=np.float32) / np.float32(text.head_dim)
    rates: Floats = (np.float32(1) / np.float32(text.rope_theta) ** exponents).astype(np.float32)
    return rates


def cosines(text: Text) -> Iterator[Floats]:
    """`[positions, head_dim / 2]` in blocks."""
    return (np.cos(angles) for angles in _angles(text))


def sines(text: Text) -> Iterator[Floats]:
    """`[positions, head_dim / 2]` in blocks."""
    return (np.sin(angles) for angles in _angles(text))


def _angles(text: Text) -> Iterator[Floats]:
    rates = frequencies(text)
    for start in range(0, text.max_positions, STEP):
        places = np.arange(start, min(start + STEP, text.max_positions), dtype=np.float32)
        yield places[:, None] * rates
