"""Prompts of random words: about as long as the agent's, and some longer ones. None comes twice, so none is cached."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perf.policy.load import Picture
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.positions import visual_tokens

LENGTHS = (88, 64, 512, 104, 72, 256, 96, 128)
"""Tokens. The agent's first turns have 60 (nano) and 88 (90m), the next ones 33 to 100 more each."""


class Prompts:
    """Of one checkpoint, for one purpose.

    Args:
        directory: the checkpoint.
        seed: other seeds, other prompts; every call goes on from the last one.
    """

    def __init__(self, directory: Path, *seed: int) -> None:
        self._config = CheckpointConfig.load(directory)
        added = json.loads((directory / "tokenizer.json").read_text()).get("added_tokens", [])
        control = {token["id"] for token in added} | self._config.end_ids | {self._config.image_token}
        self._words = np.array([i for i in range(self._config.vocabulary) if i not in control])
        self._rng = np.random.default_rng(seed)

    def text(self, length: int) -> list[int]:
        """`length` random words."""
        words: list[int] = self._rng.choice(self._words, length).tolist()
        return words

    def mixed(self, count: int, lengths: Sequence[int] = LENGTHS) -> list[list[int]]:
        """`count` prompts, their lengths in turn."""
        return [self.text(lengths[i % len(lengths)]) for i in range(count)]

    def picture(self, side: int) -> tuple[Picture, list[int]]:
        """A new image of `side` x `side` patches, and the tokens that stand for it."""
        picture = Picture(seed=int(self._rng.integers(2**62)), grid=(1, side, side))
        return picture, [self._config.image_token] * visual_tokens(picture.grid, self._config.merge)

    def arrivals(self, count: int, per_s: float) -> list[float]:
        """Arrival times of a Poisson process: independent gaps, exponentially distributed."""
        times: NDArray[np.float64] = np.cumsum(self._rng.exponential(1 / per_s, count))
        return [float(at) for at in times - times[0]]
