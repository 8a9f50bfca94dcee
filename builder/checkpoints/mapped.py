"""When a checkpoint is read from its files as it is needed, instead of being loaded."""

from __future__ import annotations

import math

from builder.checkpoints.weights import Weights

LARGE = 1 << 30
"""Bytes in fp32 from which it is."""


def is_large(weights: Weights) -> bool:
    """Whether a checkpoint is too large to be loaded whole without a thought."""
    return 4 * sum(math.prod(weights.shape(name)) for name in weights) > LARGE
