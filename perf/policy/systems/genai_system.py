"""`onnxruntime-genai`: its `Generator` over the graph of its own model builder.

Its `Engine` batches continuously on a GPU alone (paged attention has no CPU kernel); on a CPU it decodes static batches
of four, slower than a `Generator` over the whole batch (0.18), which is therefore what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime_genai

from perf.policy.systems.base import BatchSystem

PAD = 1
"""What genai_config.json says, see `models.genai`. Prompts are padded on the right: on the left answers are wrong."""


class GenAI(BatchSystem):
    """One batch after the other.

    Args:
        folder: as its model builder wrote it, see `models.genai`.
        batch: most requests of a batch.
    """

    def __init__(self, folder: Path, batch: int) -> None:
        super().__init__(batch)
        self._model = onnxruntime_genai.Model(str(folder))

    def generate(self, prompts: Sequence[Sequence[int]], count: int) -> tuple[list[list[int]], list[float]]:
        """See `BatchSystem.generate`."""
        width = max(map(len, prompts))
        ids = np.full((len(prompts), width), PAD, np.int32)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = prompt
        params = onnxruntime_genai.GeneratorParams(self._model)
        params.set_search_options(do_sample=False, max_length=width + count, batch_size=len(prompts))
        generator = onnxruntime_genai.Generator(self._model, params)
        generator.append_tokens(ids)
        steps, times = [], []
        for _ in range(count):
            generator.generate_next_token()
            steps.append(generator.get_next_tokens().tolist())
            times.append(time.perf_counter())
        return [list(row) for row in zip(*steps, strict=True)], times
