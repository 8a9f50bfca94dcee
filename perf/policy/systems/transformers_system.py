"""`transformers`: `generate` on the whole checkpoint, eager fp32, as PyTorch serves it without an engine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from builder.sources.checkpoint import load_model
from perf.policy.systems.base import BatchSystem


class Transformers(BatchSystem):
    """One batch after the other, padded on the left, with a KV cache.

    Args:
        checkpoint: Hugging Face directory.
        batch: most requests of a batch; 1 = one at a time.
        threads: of PyTorch.
    """

    def __init__(self, checkpoint: Path, batch: int, threads: int) -> None:
        super().__init__(batch)
        torch.set_num_threads(threads)
        self._model = load_model(checkpoint)
        self._model.set_attn_implementation("sdpa")
        # end tokens are ignored by everybody; as arguments of `generate` they cannot be switched off
        self._model.generation_config.eos_token_id = None

    def generate(self, prompts: Sequence[Sequence[int]], count: int) -> tuple[list[list[int]], list[float]]:
        """See `BatchSystem.generate`."""
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        times: list[float] = []
        with torch.inference_mode():
            out = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=count,
                pad_token_id=0,
                stopping_criteria=[_Clock(times)],
            )
        return out[:, width:].tolist(), times


class _Clock:
    """Notes the time of every step. See `transformers.StoppingCriteria`."""

    def __init__(self, times: list[float]) -> None:
        self._times = times

    def __call__(self, ids: Any, scores: Any, **_: Any) -> Any:
        """Never stops anything."""
        self._times.append(time.perf_counter())
        return torch.zeros(len(ids), dtype=torch.bool)
