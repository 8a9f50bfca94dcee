"""What the scheduler needs of an executor: a decoder and its KV cache, row by row.

A row is one sequence's keys and values. Rows 0 to n-1 decode together, so who decodes is a matter of `move` and `swap`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.embeddings import EmbeddingTable

Floats = NDArray[np.float32]
Cells = NDArray[np.generic]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Piece:
    """Tokens that are read into a row behind those that it holds: a prompt, or a part of one.

    Attributes:
        past: tokens that the row's cache holds.
        embeds: `[S, hidden]`; wider, where visual tokens bring features for the layers (`DecoderGraph.prefill`).
        positions: `[3, S]`.
    """

    past: int
    embeds: Floats
    positions: Ints

    @property
    def stop(self) -> int:
        """Tokens that the row's cache will hold."""
        return self.past + len(self.embeds)


class DecoderGraph(ABC):
    """The decoder of a policy artifact. For one thread. `executors.open_decoder` finds the one that runs an artifact.

    Args:
        directory: version folder.
        slots: rows of the cache, hence sequences at once.
        max_len: tokens of one row.
        threads: threads of one step.

    Attributes:
        executor: what runs it, with its version.
        config: of the checkpoint.
        embeddings: the table of its tokens.
        slots: rows of the cache, hence sequences at once.
        max_len: tokens of one row; at most what the rotary tables cover.
        token_bytes: bytes of the cache that one token takes.
        mixes: whether it has `mixed`; what has not pads prompts that are read together to the longest of them.
    """

    executor: str
    config: CheckpointConfig
    embeddings: EmbeddingTable
    slots: int
    max_len: int
    token_bytes: int
    mixes: bool = False

    @abstractmethod
    def __init__(self, directory: Path, slots: int, max_len: int, threads: int) -> None: ...

    @abstractmethod
    def prefill(self, row: int, embeds: Sequence[Floats], positions: Sequence[Ints]) -> Floats:
        """Read whole prompts into the rows from `row` on.

        Args:
            row: first row; the prompts take one row each.
            embeds: `[S_i, hidden]` of each prompt, or `[S_i, CheckpointConfig.visual_width]` of one with images: what
                the vision tower has for the first layers lies behind each token's embedding, zero for text.
            positions: `[3, S_i]` of each prompt.

        Returns:
            logits at the last token of each prompt `[len(embeds), vocabulary]`.
        """

    @abstractmethod
    def extend(self, row: int, past: int, embeds: Floats, positions: Ints, logits: int = 1) -> Floats:
        """Read more tokens into a row that holds `past` tokens: a chunk of a prompt, or a draft.

        Args:
            row: the row.
            past: tokens that its cache holds.
            embeds: `[S, hidden]`, or wider, see `prefill`.
            positions: `[3, S]`.
            logits: of how many of the last tokens logits are wanted.

        Returns:
            logits `[logits, vocabulary]`.
        """

    @abstractmethod
    def decode(self, tokens: Ints, positions: Ints, lengths: Ints) -> Floats:
        """One token for each of the first rows.

        Args:
            tokens: `[n]` last token of rows 0 to n-1, not in the cache yet.
            positions: `[n]` its position.
            lengths: `[n]` tokens that the row's cache holds before this step.

        Returns:
            logits `[n, vocabulary]`, valid until the next call with the same n.
        """

    def mixed(self, tokens: Ints, positions: Ints, lengths: Ints, row: int, pieces: Sequence[Piece]) -> Floats:
        """`decode` and, for other rows, `extend` in one pass over the weights, where the executor can.

        Args:
            tokens, positions, lengths: see `decode`; of no row at all, where pieces alone are to be read.
            row: of the first piece; the others go into the rows behind it.
            pieces: at least one.

        Returns:
            logits `[n + len(pieces), vocabulary]`: of rows 0 to n-1, and at the last token of each piece.
        """
        raise NotImplementedError(f"{self.executor} has no pass for both.")

    @abstractmethod
    def move(self, source: int, target: int, length: int) -> None:
        """Put the first `length` tokens of row `source` into row `target`; what `source` holds then is undefined."""

    @abstractmethod
    def swap(self, one: int, other: int, length: int) -> None:
        """Exchange the first `length` tokens of two rows."""

    @abstractmethod
    def read(self, row: int, start: int, stop: int) -> Cells:
        """A copy of the cache of tokens `start` to `stop` of a row: `[2 layers, heads, stop - start, head_dim]`."""

    @abstractmethod
    def write(self, row: int, start: int, cells: Cells) -> None:
        """Put what `read` gave into a row, from token `start` on."""
