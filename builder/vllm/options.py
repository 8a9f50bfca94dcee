"""What is asked of vLLM on the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VllmOptions:
    """How vLLM is to be started.

    Attributes:
        tensor_parallel: GPUs that share every layer.
        pipeline_parallel: groups of GPUs that have some of the layers each.
        gpu_memory_utilization: share of a GPU's memory that vLLM takes, weights and cache together.
        max_model_len: tokens of prompt and continuation; none = as many as the checkpoint knows, `LONGEST` at most.
        checkpoint_at: where the server sees the checkpoint; none = where it is now.
    """

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    checkpoint_at: str | None = None
