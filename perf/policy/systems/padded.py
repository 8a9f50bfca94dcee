"""The runtime's graph without its scheduler: prompts are read as they come, padded to the longest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perf.policy.systems.base import BatchSystem
from python_backends.policy.executors import open_decoder
from python_backends.policy.positions import mrope_positions


class Padded(BatchSystem):
    """Naive padding: one prefill call for every batch, then decode steps of the whole batch.

    Args:
        artifact: version folder of `policy`.
        batch: most requests of a batch.
        threads: of one call.
        max_len: tokens of prompt and answer.
    """

    def __init__(self, artifact: Path, batch: int, threads: int, max_len: int) -> None:
        super().__init__(batch)
        self._graph = open_decoder(artifact, batch, max_len, threads)

    def generate(self, prompts: Sequence[Sequence[int]], count: int) -> tuple[list[list[int]], list[float]]:
        """See `BatchSystem.generate`."""
        graph = self._graph
        ids = [np.array(prompt, np.int64) for prompt in prompts]
        places = [mrope_positions(prompt, [], graph.config.image_token, graph.config.merge) for prompt in ids]
        logits = graph.prefill(0, [graph.embeddings[prompt] for prompt in ids], [place for place, _ in places])
        following, lengths = np.array([then for _, then in places]), np.array([len(prompt) for prompt in ids])
        steps, times = [logits.argmax(1)], [time.perf_counter()]
        for step in range(count - 1):
            logits = graph.decode(steps[-1], following + step, lengths + step)
            steps.append(logits.argmax(1))
            times.append(time.perf_counter())
        return [list(map(int, row)) for row in zip(*steps, strict=True)], times
