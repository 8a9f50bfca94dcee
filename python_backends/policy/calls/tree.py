"""The vocabulary's texts in order, which is a prefix tree: what begins alike stands together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from python_backends.policy.calls.vocabulary import Vocabulary


@dataclass(frozen=True)
class Node:
    """Texts `low` to `high` (exclusive), which share their first `depth` bytes; `whole`: the first is no longer."""

    low: int
    high: int
    depth: int
    whole: bool


class TokenTree:
    """Control tokens and empty ones are no part of it.

    Args:
        vocabulary: the checkpoint's.

    Attributes:
        ids: token ids `[n]` in the order of their texts.
        lengths: bytes of each text `[n]`.
        starts: where each text begins in `flat` `[n]`.
        flat: all texts, one after the other.
        root: the node of all of them.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        chosen = [i for i, text in enumerate(vocabulary.tokens) if text and i not in vocabulary.control]
        chosen.sort(key=lambda i: vocabulary.tokens[i])
        self.ids = np.array(chosen, np.int32)
        self.lengths = np.array([len(vocabulary.tokens[i]) for i in chosen], np.int32)
        self.starts = np.cumsum(self.lengths, dtype=np.int32) - self.lengths
        self.flat = np.frombuffer(b"".join(vocabulary.tokens[i] for i in chosen), np.uint8)
        self.root = Node(0, len(chosen), 0, whole=False)
        self._children: dict[tuple[int, int], dict[int, Node]] = {}

    def children(self, node: Node) -> dict[int, Node]:
        """The nodes one byte further down."""
        key = node.low, node.depth
        if key not in self._children:
            self._children[key] = self._split(node)
        return self._children[key]

    def _split(self, node: Node) -> dict[int, Node]:
        lengths, depth = self.lengths[node.low : node.high], node.depth
        low = node.low + int(np.count_nonzero(lengths == depth))
        if low == node.high:
            return {}
        bytes_ = self.flat[self.starts[low : node.high] + depth]
        cuts = [low, *(low + 1 + np.flatnonzero(np.diff(bytes_))).tolist(), node.high]
        return {
            int(bytes_[first - low]): Node(first, last, depth + 1, bool(self.lengths[first] == depth + 1))
            for first, last in pairwise(cuts)
        }
