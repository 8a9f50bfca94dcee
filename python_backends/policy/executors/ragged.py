"""Prompts of different lengths as one array, padded on the right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from python_backends.policy.graph import Floats, Ints


def padded(embeds: Sequence[Floats], positions: Sequence[Ints]) -> tuple[Floats, Ints, Ints]:
    """`[S_i, hidden]` and `[3, S_i]` of each prompt as `[n, S, hidden]`, `[3, n, S]`, and their lengths `[n]`.

    Where a prompt is wider, by the features of its visual tokens, those of the others are zero.
    """
    lengths = np.array([len(part) for part in embeds], np.int64)
    count, width = len(embeds), int(lengths.max())
    together = np.zeros((count, width, max(part.shape[1] for part in embeds)), np.float32)
    places = np.zeros((3, count, width), np.int64)
    for row, (part, place) in enumerate(zip(embeds, positions, strict=True)):
        together[row, : len(part), : part.shape[1]] = part
        places[:, row, : len(part)] = place
    return together, places, lengths
