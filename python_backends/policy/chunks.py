"""Parts of prompts that are read in the pass of a decode step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from python_backends.policy.graph import Piece
from python_backends.policy.prefix_cache import BLOCK
from python_backends.policy.request import Sequence


@dataclass(frozen=True, eq=False)
class Chunk:
    """A part of a prompt, or the rest of it.

    Attributes:
        sequence: whose prompt it is.
        piece: what is read.
    """

    sequence: Sequence
    piece: Piece

    @property
    def last(self) -> bool:
        """Whether the prompt is read with it."""
        return self.piece.stop == self.sequence.known

    def tells(self, other: Sequence, known: int) -> bool:
        """Whether `other`, of which `known` tokens are known, goes on from there as this prompt does, for a block."""
        stop = known - known % BLOCK + BLOCK
        mine, theirs = self.sequence.content[:stop], other.content[:stop]
        return len(theirs) == stop and np.array_equal(mine, theirs)
