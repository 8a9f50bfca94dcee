"""From scores and a number in [0, 1) to a token: inverse of the cumulative distribution, tokens in the order of ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from python_backends.policy.sampling_filters import Doubles, Floats

_BLOCK = 512


def draw(scores: Floats, floors: Floats, chances: Doubles) -> NDArray[np.int64]:
    """A token for each row, all rows at once; for vocabularies of a few thousand.

    Args:
        scores: `[n, vocabulary]`, the likeliest 0.
        floors: `[n]`, of what may come.
        chances: `[n]`, in [0, 1).

    Returns:
        ids `[n]`.
    """
    weights = np.exp(scores)
    weights[scores < floors[:, None]] = 0.0
    reached = weights.cumsum(axis=1, dtype=np.float64)
    total = reached[:, -1]
    # `chance * total` may be rounded up to `total`: then the last token that may come is meant
    wanted = np.minimum(chances * total, np.nextafter(total, 0.0))
    ids: NDArray[np.int64] = (reached <= wanted[:, None]).sum(axis=1)
    return ids


def draw_wide(scores: Floats, floor: float, chance: float) -> int:
    """A token of one row `[vocabulary]`: adds up blocks first, or only what may come."""
    if floor > -np.inf:
        ids = np.flatnonzero(scores >= floor)
        return int(ids[_invert(np.exp(scores[ids]), chance)])
    weights = np.exp(scores)
    sums = np.add.reduceat(weights, np.arange(0, len(weights), _BLOCK)).astype(np.float64)
    reached = sums.cumsum()
    wanted = min(chance * reached[-1], np.nextafter(reached[-1], 0.0))
    block = int(np.searchsorted(reached, wanted, side="right"))
    before = reached[block - 1] if block else 0.0
    inside = weights[block * _BLOCK : (block + 1) * _BLOCK]
    return block * _BLOCK + _invert(inside, (wanted - before) / sums[block])


def _invert(weights: Floats, chance: float) -> int:
    reached = weights.cumsum(dtype=np.float64)
    wanted = min(chance * reached[-1], np.nextafter(reached[-1], 0.0))
    return int(np.searchsorted(reached, wanted, side="right"))
