"""What decides a token's place in the KV cache: 128 bits for each token of a prompt.

Keys and values of a token follow from the tokens up to it: for text from its id, for a visual token from its embedding,
and from its position. Two sequences share the cache of every token up to the first where these differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Content = NDArray[np.uint64]
"""`[S, 2]`, compared row by row."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4)."""
_AXIS_BITS = 21


def prompt_content(
    ids: NDArray[np.int64],
    positions: NDArray[np.int64],
    is_image: NDArray[np.bool_],
    visual: NDArray[np.float32] | None,
    sizes: Sequence[int],
) -> Content:
    """Content of a prompt.

    Args:
        ids: `[S]`.
        positions: `[3, S]`, each below 2**21.
        is_image: `[S]`, which tokens are visual.
        visual: embeddings of the visual tokens in order `[n, hidden]`.
        sizes: visual tokens of each image, `n` together.

    Returns:
        of text: id and position; of a visual token: the 128 bits of its image's digest and its place in it. An image at
        another place is other content, because the position of the tokens before it is part of theirs.
    """
    content = text_content(ids, positions)
    if visual is not None and sizes:
        content[is_image] ^= np.concatenate([_image_content(part) for part in np.split(visual, np.cumsum(sizes[:-1]))])
    return content


def text_content(ids: NDArray[np.int64], positions: NDArray[np.int64]) -> Content:
    """Content of text tokens: their ids `[S]`, and their positions `[3, S]` side by side in 63 bits."""
    content = np.empty((len(ids), 2), np.uint64)
    content[:, 0] = ids
    time, row, column = positions.astype(np.uint64)
    content[:, 1] = (time << np.uint64(2 * _AXIS_BITS)) | (row << np.uint64(_AXIS_BITS)) | column
    return content


def _image_content(visual: NDArray[np.float32]) -> Content:
    digest = np.frombuffer(blake2b(np.ascontiguousarray(visual).data, digest_size=16).digest(), np.uint64)
    return digest + np.arange(1, len(visual) + 1, dtype=np.uint64)[:, None] * _ODD
