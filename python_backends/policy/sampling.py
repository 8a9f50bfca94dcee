"""From logits to tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def greedy(logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], list[float]]:
    """The likeliest token of each row, and its log-probability under the unmasked softmax.

    Args:
        logits: `[n, vocabulary]`.

    Returns:
        token ids `[n]`, and their log-probabilities; NaN for a row whose logits are not finite.
    """
    tokens = logits.argmax(axis=1)
    top = logits[np.arange(len(tokens)), tokens]
    # log softmax at the maximum: the shifted numerator is exp(0)
    shifted = logits - top[:, None]
    np.exp(shifted, out=shifted)
    return tokens, (-np.log(shifted.sum(axis=1))).tolist()
