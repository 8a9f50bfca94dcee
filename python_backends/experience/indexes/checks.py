"""What may go into an index and what may be asked of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest


def vectors(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """`values` as contiguous float32 `[n, width]`.

    Raises:
        InvalidRequest: they have another shape, a value that is not a finite number, or a vector of zeros.
    """
    if values.ndim != 2 or values.shape[1] != width:
        raise InvalidRequest(f"The vectors have shape {list(values.shape)}.", mend=f"It must be [n, {width}].")
    made = np.ascontiguousarray(values, np.float32)
    if len(made) == 1 and 0 < float(made[0] @ made[0]) < np.inf:
        return made  # the quick way for what comes most
    squares = np.einsum("ij,ij->i", made, made)  # one pass: what is not finite makes the sum so
    if not np.isfinite(squares).all():
        raise InvalidRequest("A vector holds a value that is not a finite number.", mend="Send finite float32s.")
    if not squares.all():
        raise InvalidRequest("A vector is zero: it has no direction to compare.", mend="Leave it out.")
    return made


def k(value: int) -> int:
    """How many are asked for. Raises `InvalidRequest` below 1."""
    if value < 1:
        raise InvalidRequest(f"k is {value}.", mend="It must be at least 1.")
    return value
