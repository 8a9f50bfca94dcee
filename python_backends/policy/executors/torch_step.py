"""A decode step at fixed addresses: on the CPU a call of the script, on a GPU a CUDA graph that is captured once.

A captured graph replays its kernels on the same tensors, so its inputs are written into them, through pinned memory. It
is captured for a number of rows and a width of the cache; both come in few sizes, all of them captured at load.
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
        self._graphs: dict[int, Any] = {}
        self._made: Tensor = None
        self._taken: dict[int, Tensor] = {}

    def __call__(self, table: EmbeddingTable, tokens: Ints, positions: Ints, lengths: Ints, width: int) -> Floats:
        """See `DecoderGraph.decode`; `width` places of the cache are looked at."""
        count = len(tokens)
        table.take(tokens, self._embeds[:count, 0])
        self._positions[:, :count, 0] = positions
        self._starts[:count] = lengths
        self._starts[count:] = self._behind
        logits = self._compute(width) if self._cache.device.type == "cpu" else self._replay(width, count)
        answer: Floats = logits.numpy()[:count, 0]
        return answer

    def _compute(self, width: int) -> Tensor:
        return self._run(*self._inputs, self._at, self._cache, width)

    def _replay(self, width: int, count: int) -> Tensor:
        """The graph on what was given; logits of the first `count` rows, in memory of their own."""
        for given, tensor in zip(self._given, self._inputs, strict=True):
            tensor.copy_(given, non_blocking=True)
        self._graphs[width].replay()
        logits = self._made[:count]
        if count not in self._taken:
            self._taken[count] = torch.empty(logits.shape, dtype=logits.dtype, pin_memory=True)
        self._taken[count].copy_(logits, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return self._taken[count]

    def capture(self, width: int) -> None:
        """Make the graph for `width`. Its first runs write where no sequence reaches."""
        self._inputs[2].fill_(self._behind)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                logits = self._compute(width)
        torch.cuda.current_stream().wait_stream(stream)
        if self._made is None:
            self._made = torch.empty_like(logits)
        self._graphs[width] = graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            self._made.copy_(self._compute(width))


def step_sizes(least: int, most: int) -> list[int]:
    """`least`, twice that, four times that, ... below `most`, and `most`."""
    sizes = []
    while least < most:
        sizes.append(least)
        least *= 2
    return [*sizes, most]


def empty_cache(shape: tuple[int, ...], dtype: Any, device: Any) -> Tensor:
    """Zeros. On the CPU memory is taken page by page as rows are written, so what no sequence reaches costs nothing."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    size = torch.empty(0, dtype=dtype).element_size()
    return torch.from_numpy(np.zeros((*shape[:-1], shape[-1] * size), np.uint8)).view(dtype)
