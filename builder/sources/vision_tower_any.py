"""The Qwen2.5-VL vision tower for views of any size, where a checkpoint is shown more than one (see `VisionEncoder`).

Windows are cut when it runs. Those at the edges are filled up, and what fills them is masked, so attention in a window
is exact; a size that whole windows make costs nothing more. One artifact holds the weights once for all sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from builder.sources.vision_patches import normalised, patch_embedding
from builder.sources.vision_tower_qwen3 import rotated


class AnyGridTower(nn.Module):
    """Pixels to visual tokens.

    Args:
        tower: transformers' tower; its weights are shared.
        mean: of each channel, for values in 0-1.
        std: of each channel.
        frames: of one patch: 1 = stills alone, 2 = stills and pairs of frames (see `normalised`).
    """

    def __init__(self, tower: Any, mean: Sequence[float], std: Sequence[float], frames: int = 1) -> None:
        super().__init__()
        self.patch, self.merge, self.frames = tower.patch_size, tower.spatial_merge_size, frames
        self.window = tower.window_size // self.merge // self.patch
        self.register_buffer("scale", 1.0 / (255.0 * torch.tensor(std)), persistent=False)
        self.register_buffer("shift", -torch.tensor(mean) / torch.tensor(std), persistent=False)
        self.register_buffer("frequencies", tower.rotary_pos_emb.inv_freq.detach().float(), persistent=False)
        self.embed = patch_embedding(tower, frames)
        self.full = set(tower.fullatt_block_indexes)
        self.blocks = tower.blocks
        self.merger = tower.merger

    def forward(self, view: Tensor) -> Tensor:
        """view uint8 `[B, H, W, 3]` (of two frames 6) to tokens `[B, rows * columns / merge^2, hidden]`."""
        rows, columns = view.shape[1] // self.patch // self.merge, view.shape[2] // self.patch // self.merge
        hidden = self.embed(self._patches(view, rows, columns))
        cos, sin = self._rotary(rows, columns)
        for layer, block in enumerate(self.blocks):
            query, key, value = self._projected(block.attn, block.norm1(hidden), cos, sin)
            if layer in self.full:
                mixed = F.scaled_dot_product_attention(query, key, value)
            else:
                mixed = self._in_windows(query, key, value, rows, columns)
            hidden = hidden + block.attn.proj(mixed.transpose(1, 2).reshape(hidden.shape))
            hidden = hidden + block.mlp(block.norm2(hidden))
        unit = self.merge**2
        merged = self.merger.ln_q(hidden).reshape(-1, rows * columns, unit * hidden.shape[-1])
        out: Tensor = self.merger.mlp(merged)
        return out

    def _patches(self, view: Tensor, rows: int, columns: int) -> Tensor:
        """Normalised patches `[B, n, patch * patch * 3 * frames]` of `rows` x `columns` tokens, one's together."""
        side, merge, depth = self.patch, self.merge, 3 * self.frames
        x = normalised(view, self.scale, self.shift, self.frames)
        x = x.reshape(-1, rows, merge, side, columns, merge, side * depth).permute(0, 1, 4, 2, 5, 3, 6)
        return x.reshape(-1, rows * columns * merge**2, side * side * depth)

    def _rotary(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines `[n, head_dim]` of the patches' rows and columns."""
        merge, half = self.merge, len(self.frequencies)
        inside = torch.arange(merge)
        row = (torch.arange(rows)[:, None] * merge + inside)[:, None, :, None, None] * self.frequencies
        column = (torch.arange(columns)[:, None] * merge + inside)[None, :, None, :, None] * self.frequencies
        shape = rows, columns, merge, merge, half
        angles = torch.cat([row.expand(shape), column.expand(shape)], dim=-1).reshape(-1, 2 * half)
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()

    def _projected(self, attention: Any, hidden: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values `[B, heads, n, head_dim]`, with their positions."""
        batch, length, width = hidden.shape
        heads = attention.num_heads
        qkv = attention.qkv(hidden).reshape(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        return rotated(qkv[0], cos, sin), rotated(qkv[1], cos, sin), qkv[2]

    def _in_windows(self, query: Tensor, key: Tensor, value: Tensor, rows: int, columns: int) -> Tensor:
        """Attention inside each window, `[B, heads, n, head_dim]`.

        Windows are the batch and pictures join the heads, so that one mask a window serves all of them.
        """
        side, unit = self.window, self.merge**2
        batch, heads, length, width = query.shape
        down, across = (rows + side - 1) // side, (columns + side - 1) // side
        fill = (0, 0, 0, 0, 0, across * side - columns, 0, down * side - rows)

        def cut(x: Tensor) -> Tensor:
            filled = F.pad(x.reshape(batch * heads, rows, columns, unit, width), fill)
            parts = filled.reshape(batch * heads, down, side, across, side, unit * width).permute(1, 3, 0, 2, 4, 5)
            return parts.reshape(down * across, batch * heads, side * side * unit, width)

        real = F.pad(torch.ones(1, rows, columns, unit, 1), fill)
        real = real.reshape(1, down, side, across, side, unit).permute(1, 3, 0, 2, 4, 5)
        mask = (real.reshape(down * across, 1, 1, side * side * unit) - 1) * -torch.finfo(torch.float32).min
        mixed = F.scaled_dot_product_attention(cut(query), cut(key), cut(value), attn_mask=mask)
        mixed = mixed.reshape(down, across, batch * heads, side, side, unit * width).permute(2, 0, 3, 1, 4, 5)
        mixed = mixed.reshape(batch * heads, down * side, across * side, unit * width)[:, :rows, :columns]
        return mixed.reshape(batch, heads, length, width)
