"""`openvino-genai`: its continuous batching pipeline, paged attention included, over a stateful graph."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai

from perf.policy.load import Job
from perf.policy.systems.base import Piece, System

CACHE_GB = 1
STEP_TOKENS = 256
"""Most tokens of a step, prompts and answers together: its own chunked prefill."""


class OpenVino(System):
    """`ContinuousBatchingPipeline`; requests join and leave at every step.

    Args:
        folder: see `models.openvino_ir`.
        precision: fp32 computes and caches in fp32; int8 has int8 weights, the rest as the pipeline likes it.
        slots: most requests at once.
        threads: of one step.
        prefix_caching: whether it keeps what it has read; it costs where no prompt comes twice.
    """

    def __init__(self, folder: Path, precision: str, slots: int, threads: int, *, prefix_caching: bool = False) -> None:
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = CACHE_GB
        scheduler.max_num_seqs = slots
        scheduler.max_num_batched_tokens = STEP_TOKENS
        scheduler.dynamic_split_fuse = True
        scheduler.enable_prefix_caching = prefix_caching
        properties: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        properties["INFERENCE_PRECISION_HINT"] = "f32"
        if precision == "fp32":
            properties["KV_CACHE_PRECISION"] = "f32"
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(str(folder), scheduler, "CPU", properties)
        self._handles: dict[int, Any] = {}
        self._left: dict[int, int] = {}

    def submit(self, number: int, job: Job) -> None:
        """See `System.submit`."""
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = job.tokens
        config.ignore_eos = True
        config.do_sample = False
        prompt = openvino.Tensor(np.array([job.prompt], np.int64))
        self._handles[number] = self._pipeline.add_request(number, prompt, config)
        self._left[number] = job.tokens

    def wait(self, until: float) -> list[Piece]:
        """One step, or sleep."""
        if not self._handles:
            time.sleep(max(until - time.perf_counter(), 0.0))
            return []
        self._pipeline.step()
        now, pieces = time.perf_counter(), []
        for number, handle in list(self._handles.items()):
            while handle.can_read():
                tokens = [token for output in handle.read().values() for token in output.generated_ids]
                self._left[number] -= len(tokens)
                over = self._left[number] <= 0
                pieces.append(Piece(number, tokens, now, finish="length" if over else None))
                if over:
                    del self._handles[number], self._left[number]
                    break
        return pieces
