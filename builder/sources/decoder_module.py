"""The text decoder of Qwen2.5-VL and Qwen3-VL as a module that TorchScript takes, on a cache that it writes in place.

Qwen3-VL's text model differs by norms of queries and keys, no biases, and another order of its rotary axes. Its vision
tower feeds the first layers as well (deepstack), which nothing here takes: it is right on text alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Shape(NamedTuple):
    """The numbers of a decoder.

    Attributes:
        sections: rotary frequencies of time, row and column.
        interleaved: their order: one of each in turn (Qwen3-VL), or one after the other.
        bias: whether the projections of queries, keys and values have one.
        normed: whether queries and keys are normalised.
    """

    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    epsilon: float
    theta: float
    sections: tuple[int, int, int]
    interleaved: bool
    bias: bool
    normed: bool


class DecoderModule(nn.Module):
    """Embeddings to logits; what it reads goes into the cache.

    Between layers states stay in single precision, whatever the weights are in: rounded to bf16 after every layer,
    small differences between logits are lost.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.epsilon, self.hidden = shape.epsilon, shape.hidden
        self.group = shape.heads // shape.kv_heads
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.hidden))
        self.head = nn.Linear(shape.hidden, shape.vocabulary, bias=False)
        self.register_buffer("axis", rotary_axes(shape))
        self.register_buffer("frequency", rotary_frequencies(shape))

    def forward(
        self, embeds: Tensor, positions: Tensor, starts: Tensor, at: Tensor, cache: Tensor, width: int
    ) -> Tensor:
        """Read `S` tokens behind what each row holds.

        Args:
            embeds: FP32 `[n, S, hidden]`.
            positions: INT64 `[3, n, S]`: time, row and column.
            starts: INT64 `[n]`, tokens that a row holds already.
            at: INT64 `[n, k]`, which of the tokens logits are wanted of.
            cache: `[2 layers, n, kv_heads, places, head_dim]`: keys and values of each layer in turn.
            width: places that are looked at, at least the largest of `starts` and `S` together.

        Returns:
            logits FP32 `[n, k, vocabulary]`.
        """
        count, length = embeds.shape[0], embeds.shape[1]
        hidden, small = embeds, self.head.weight.dtype
        angles = positions.index_select(0, self.axis).permute(1, 2, 0).to(torch.float32) * self.frequency
        cos, sin = angles.cos().unsqueeze(2), angles.sin().unsqueeze(2)
        places = starts.unsqueeze(1) + torch.arange(length, device=starts.device)
        later = torch.arange(width, device=starts.device) > places.unsqueeze(2)
        mask = torch.zeros(later.shape, dtype=small, device=hidden.device).masked_fill(later, -float("inf"))
        # The queries that share keys are rows of one product, so keys are never repeated.
        mask = mask.unsqueeze(1).expand(-1, self.group, -1, -1).reshape(count, 1, self.group * length, width)
        rows = torch.arange(count, device=starts.device).unsqueeze(1)
        for i, layer in enumerate(self.layers):
            hidden = layer(hidden, cos, sin, mask, rows, places, cache[2 * i], cache[2 * i + 1], width)
        chosen = torch.rms_norm(hidden[rows, at], [self.hidden], self.norm, self.epsilon)
        if (
            chosen.is_cuda and small != torch.float32
        ):  # what a product of such weights is summed in, not rounded once more
            flat = torch.mm(chosen.to(small).view(-1, self.hidden), self.head.weight.t(), out_dtype=torch.float32)
            return flat.view(count, -1, self.head.out_features)
        return self.head(chosen.to(small)).to(torch.float32)


class DecoderLayer(nn.Module):
    """Attention over the cache, and the gated MLP."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.hidden, self.inner, self.epsilon = shape.hidden, shape.inner, shape.epsilon
        self.heads, self.kv_heads, self.head_dim = shape.heads, shape.kv_heads, shape.head_dim
        self.before = nn.Parameter(torch.ones(shape.hidden))
        self.between = nn.Parameter(torch.ones(shape.hidden))
        self.qkv = nn.Linear(shape.hidden, (shape.heads + 2 * shape.kv_heads) * shape.head_dim, bias=shape.bias)
        self.out = nn.Linear(shape.heads * shape.head_dim, shape.hidden, bias=False)
        self.gate_up = nn.Linear(shape.hidden, 2 * shape.inner, bias=False)
        self.down = nn.Linear(shape.inner, shape.hidden, bias=False)
        self.query_norm = nn.Parameter(torch.ones(shape.head_dim)) if shape.normed else None
        self.key_norm = nn.Parameter(torch.ones(shape.head_dim)) if shape.normed else None

    def forward(
        self,
        hidden: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor,
        rows: Tensor,
        places: Tensor,
        keys: Tensor,
        values: Tensor,
        width: int,
    ) -> Tensor:
        """See `DecoderModule.forward`; `keys` and `values` are `[n, kv_heads, places, head_dim]`."""
        count, length = hidden.shape[0], hidden.shape[1]
        normed = torch.rms_norm(hidden, [self.hidden], self.before, self.epsilon).to(self.qkv.weight.dtype)
        made = self.qkv(normed).view(count, length, -1, self.head_dim)
        query, key, value = made.split([self.heads, self.kv_heads, self.kv_heads], dim=2)
        if self.query_norm is not None and self.key_norm is not None:
            query = torch.rms_norm(query, [self.head_dim], self.query_norm, self.epsilon)
            key = torch.rms_norm(key, [self.head_dim], self.key_norm, self.epsilon)
        # Finite, whatever a sequence was: what lies behind another's end has weight 0, and 0 times NaN is NaN.
        keys[rows, :, places] = rotate(key, cos, sin).nan_to_num(0.0, 0.0, 0.0)
        values[rows, :, places] = value.nan_to_num(0.0, 0.0, 0.0)
        shared = rotate(query, cos, sin).transpose(1, 2).reshape(count, self.kv_heads, -1, self.head_dim)
        seen = F.scaled_dot_product_attention(shared, keys[:, :, :width], values[:, :, :width], attn_mask=mask)
        seen = seen.reshape(count, self.heads, length, self.head_dim).transpose(1, 2).reshape(count, length, -1)
        hidden = hidden + self.out(seen)
        normed = torch.rms_norm(hidden, [self.hidden], self.between, self.epsilon).to(self.qkv.weight.dtype)
        gate, up = self.gate_up(normed).split(self.inner, -1)
        return hidden + self.down(F.silu(gate) * up)


def rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of `[n, S, heads, head_dim]`; `cos` and `sin` are FP32 `[n, S, 1, head_dim / 2]`."""
    one, other = states.to(torch.float32).chunk(2, dim=-1)
    return torch.cat((one * cos - other * sin, other * cos + one * sin), dim=-1).to(states.dtype)


def rotary_axes(shape: Shape) -> Tensor:
    """Which of the three positions turns each rotary frequency: INT64 `[head_dim / 2]`."""
    if not shape.interleaved:
        return torch.tensor([axis for axis, count in enumerate(shape.sections) for _ in range(count)])
    axes = torch.zeros(shape.head_dim // 2, dtype=torch.int64)
    for axis in (1, 2):
        axes[axis : 3 * shape.sections[axis] : 3] = axis
    return axes


def rotary_frequencies(shape: Shape) -> Tensor:
    """Radians that a position turns each pair of a head by: FP32 `[head_dim / 2]`."""
    even = torch.arange(0, shape.head_dim, 2, dtype=torch.float32)
    return 1.0 / (shape.theta ** (even / shape.head_dim))
