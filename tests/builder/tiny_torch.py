"""PyTorch sources of a few numbers: with attention, with a mistake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from builder.candidate import Candidate
from builder.model_spec import ModelSpec, TensorSpec
from builder.sources.base import Tensors, TorchSource

if TYPE_CHECKING:
    import torch

WIDTH, WORDS, LONGEST = 16, 32, 64


class TinyAttention(TorchSource):
    """IDS INT64 `[B, S]` -> POOLED FP32 `[B, 16]`, STATES FP32 `[B, S, 16]`; `words.txt` lies beside."""

    name = "tiny"
    inputs = ("IDS",)
    outputs = ("POOLED", "STATES")

    def files(self) -> Sequence[Path]:
        return []

    def module(self) -> torch.nn.Module:
        import torch
        from torch.nn import functional as F

        class Attention(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.table = torch.nn.Embedding(WORDS, WIDTH)
                self.positions = torch.nn.Parameter(torch.randn(LONGEST, WIDTH))
                self.qkv = torch.nn.Linear(WIDTH, 3 * WIDTH)
                self.norm = torch.nn.LayerNorm(WIDTH)
                self.out = torch.nn.Linear(WIDTH, WIDTH)

            def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                x = self.norm(self.table(ids) + self.positions[: ids.shape[1]])
                query, key, value = self.qkv(x).reshape(x.shape[0], -1, 3, 2, WIDTH // 2).permute(2, 0, 3, 1, 4)
                mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(x.shape)
                states = self.out(mixed)
                return states.mean(dim=1), states

        torch.manual_seed(0)
        return Attention().eval()

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        return {"IDS": {0: "batch", 1: "sequence"}}

    def samples(self) -> list[Tensors]:
        rng = np.random.default_rng(0)
        return [{"IDS": rng.integers(0, WORDS, size)} for size in ((1, 5), (3, 7), (8, 4))]

    def beside(self) -> dict[str, Path]:
        return {"words.txt": Path(__file__)}


class FixedBatch(TinyAttention):
    """Reads the batch size in Python, so that a trace fixes it."""

    def module(self) -> torch.nn.Module:
        import torch

        inner = super().module()

        class Fixed(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                pooled, states = self.inner(ids)
                return torch.stack([pooled[i] for i in range(int(ids.shape[0]))]), states

        return Fixed().eval()


class IdleLinear(TinyAttention):
    """Has one Linear layer, which takes no part."""

    def module(self) -> torch.nn.Module:
        import torch

        class Idle(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.table = torch.nn.Embedding(WORDS, WIDTH)
                self.idle = torch.nn.Linear(WIDTH, WIDTH)

            def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                states = self.table(ids)
                return states.mean(dim=1), states

        torch.manual_seed(0)
        return Idle().eval()


def tiny_spec(candidate: Candidate, source: str = "TinyAttention") -> ModelSpec:
    """An engine model around one of the sources here, built as `candidate`."""
    return ModelSpec(
        name="tiny",
        kind="engine",
        source=f"tests.builder.tiny_torch:{source}",
        max_batch_size=8,
        inputs=(TensorSpec(name="IDS", dtype="INT64", dims=(-1,)),),
        outputs=(
            TensorSpec(name="POOLED", dtype="FP32", dims=(WIDTH,)),
            TensorSpec(name="STATES", dtype="FP32", dims=(-1, WIDTH)),
        ),
        format=candidate.format,
        precision=candidate.precision,
        quantization=candidate.quantization,
        optimization=candidate.optimization,
    )
