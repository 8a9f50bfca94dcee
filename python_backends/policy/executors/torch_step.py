"""A decode step at fixed addresses: on the CPU a call of the script, on a GPU a CUDA graph that is captured once.

A captured graph replays its kernels on the same tensors, so its inputs are written into them, through pinned memory. It
is captured for a number of rows and a width of the cache; both come in few sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from python_backends.policy.embeddings import EmbeddingTable
from python_backends.policy.graph import Floats, Ints

Tensor = Any
Run = Callable[..., Tensor]
"""Embeddings, positions, starts, places of the logits, rows of the cache and width, to logits."""
WARM_UP = 3
"""Runs before a capture, as PyTorch asks for: what allocates once must not do so inside of it."""


class Step:
    """One token for each of the first rows.

    Args:
        run: the script.
        cache: of its rows alone `[2 layers, rows, kv_heads, places, head_dim]`.
        hidden: width of an embedding.
        behind: the place that no sequence reaches, where rows that nobody asked for write.
        pool: memory that all captured graphs share; none on the CPU.
    """

    def __init__(self, run: Run, cache: Tensor, hidden: int, behind: int, pool: Any) -> None:
        self._run, self._cache, self._pool, self._behind = run, cache, pool, behind
        rows = cache.shape[1]
        on_gpu = cache.device.type == "cuda"
        self._given = [
            torch.zeros(rows, 1, hidden, pin_memory=on_gpu),
            torch.zeros(3, rows, 1, dtype=torch.int64, pin_memory=on_gpu),
            torch.zeros(rows, dtype=torch.int64, pin_memory=on_gpu),
        ]
        self._embeds, self._positions, self._starts = (tensor.numpy() for tensor in self._given)
        self._at = torch.zeros(rows, 1, dtype=torch.int64, device=cache.device)
        self._inputs = [tensor.to(cache.device) for tensor in self._given]  # on the CPU the very same
        self._graphs: dict[int, tuple[Any, Tensor]] = {}
        self._logits: Tensor = None

    def __call__(self, table: EmbeddingTable, tokens: Ints, positions: Ints, lengths: Ints, width: int) -> Floats:
        """See `DecoderGraph.decode`; `width` places of the cache are looked at."""
        count = len(tokens)
        table.take(tokens, self._embeds[:count, 0])
        self._positions[:, :count, 0] = positions
        self._starts[:count] = lengths
        self._starts[count:] = self._behind
        logits = self._compute(width) if self._cache.device.type == "cpu" else self._replay(width)
        answer: Floats = logits.numpy()[:count, 0]
        return answer

    def _compute(self, width: int) -> Tensor:
        return self._run(*self._inputs, self._at, self._cache, width)

    def _replay(self, width: int) -> Tensor:
        for given, tensor in zip(self._given, self._inputs, strict=True):
            tensor.copy_(given, non_blocking=True)
        if width not in self._graphs:
            self._graphs[width] = self._captured(width)
        graph, logits = self._graphs[width]
        graph.replay()
        if self._logits is None:
            self._logits = torch.empty(logits.shape, dtype=logits.dtype, pin_memory=True)
        self._logits.copy_(logits, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return self._logits

    def _captured(self, width: int) -> tuple[Any, Tensor]:
        """A graph, and where it leaves the logits. What its first runs write into the cache it writes again."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._compute(width)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            logits = self._compute(width)
        return graph, logits


def step_size(wanted: int, least: int, most: int) -> int:
    """The smallest of `least`, twice that, four times that, ... and `most` that holds `wanted`."""
    size = least
    while size < wanted:
        size *= 2
    return min(size, most)


def empty_cache(shape: tuple[int, ...], dtype: Any, device: Any) -> Tensor:
    """Zeros. On the CPU memory is taken page by page as rows are written, so what no sequence reaches costs nothing."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    size = torch.empty(0, dtype=dtype).element_size()
    return torch.from_numpy(np.zeros((*shape[:-1], shape[-1] * size), np.uint8)).view(dtype)
