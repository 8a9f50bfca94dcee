"""The Qwen2.5-VL vision tower with its grid fixed, as a module that every exporter takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as qwen

from builder.sources.vision_patches import normalised, patch_embedding


class FixedGridTower(nn.Module):
    """Pixels to visual tokens for one resolution.

    Args:
        tower: transformers' tower; its weights are shared.
        width: pixels of the view.
        height: pixels of the view.
        mean: of each channel, for values in 0-1.
        std: of each channel.
        frames: of one patch: 1 = stills alone, 2 = stills and pairs of frames (see `normalised`).
    """

    window_index: Tensor
    reverse_index: Tensor
    cos: Tensor
    sin: Tensor

    def __init__(
        self, tower: Any, width: int, height: int, mean: Sequence[float], std: Sequence[float], frames: int = 1
    ) -> None:
        super().__init__()
        self.patch, self.merge, self.frames = tower.patch_size, tower.spatial_merge_size, frames
        self.rows, self.columns = height // self.patch, width // self.patch
        self.register_buffer("scale", 1.0 / (255.0 * torch.tensor(std)), persistent=False)
        self.register_buffer("shift", -torch.tensor(mean) / torch.tensor(std), persistent=False)
        self.embed = patch_embedding(tower, frames)
        self.full = set(tower.fullatt_block_indexes)
        self.blocks = tower.blocks
        self.merger = tower.merger
        self._make_constants(tower)

    def _make_constants(self, tower: Any) -> None:
        """Window order, rotary tables in that order, and where windows begin."""
        grid = torch.tensor([[1, self.rows, self.columns]])
        index, bounds = qwen.get_vision_window_index(grid, self.merge, tower.window_size, self.patch)
        unit = self.merge**2
        cos, sin = tower.rotary_pos_emb(torch.zeros(1), qwen.get_vision_position_ids(grid, self.merge))
        for name, table in (("cos", cos), ("sin", sin)):
            ordered = table.reshape(-1, unit, table.shape[-1])[index].reshape(len(table), -1)
            self.register_buffer(name, ordered.contiguous(), persistent=False)
        self.register_buffer("window_index", index, persistent=False)
        self.register_buffer("reverse_index", torch.argsort(index), persistent=False)
        lengths = (bounds[1:] - bounds[:-1]).tolist()
        # Equal windows are a reshape; ragged ones need a mask over the whole sequence.
        self.window = lengths[0] if len(set(lengths)) == 1 else None
        owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        mask = torch.where(owner[:, None] == owner[None, :], 0.0, torch.finfo(torch.float32).min)
        self.register_buffer("mask", mask if self.window is None else None, persistent=False)

    def forward(self, view: Tensor) -> Tensor:
        """view uint8 `[B, H, W, 3]` (of two frames 6) to tokens `[B, rows * columns / merge^2, hidden]`."""
        hidden = self.embed(self._patches(view))
        batch, unit = hidden.shape[0], self.merge**2
        tokens = self.rows * self.columns // unit
        width = hidden.shape[-1]
        hidden = hidden.reshape(batch, tokens, unit * width)[:, self.window_index]
        hidden = hidden.reshape(batch, tokens * unit, width)
        for layer, block in enumerate(self.blocks):
            hidden = hidden + self._attend(block.attn, block.norm1(hidden), layer in self.full)
            hidden = hidden + block.mlp(block.norm2(hidden))
        merged = self.merger.ln_q(hidden).reshape(batch, tokens, unit * width)
        out: Tensor = self.merger.mlp(merged)[:, self.reverse_index]
        return out

    def _patches(self, view: Tensor) -> Tensor:
        """Normalised patches `[B, rows * columns, patch * patch * 3 * frames]`, those of one token side by side.

        The processor's layout, at rank 7: channels stay beside their pixel, and a still's doubled frame is in the
        weight.
        """
        side, merge, depth = self.patch, self.merge, 3 * self.frames
        x = normalised(view, self.scale, self.shift, self.frames)
        x = x.reshape(-1, self.rows // merge, merge, side, self.columns // merge, merge, side * depth)
        x = x.permute(0, 1, 4, 2, 5, 3, 6)
        return x.reshape(-1, self.rows * self.columns, side * side * depth)

    def _attend(self, attention: Any, hidden: Tensor, full: bool) -> Tensor:
        """Attention of a layer over all patches, or inside each window."""
        batch, length, width = hidden.shape
        heads = attention.num_heads
        qkv = attention.qkv(hidden).reshape(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv[0], qkv[1], qkv[2]
        query, key = self._rotate(query), self._rotate(key)
        if full or self.window == length:
            mixed = F.scaled_dot_product_attention(query, key, value)
        elif self.window is None:
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self.mask)
        else:
            # windows join the batch: exporters take attention of rank 4 only
            windows, head = length // self.window, width // heads
            query, key, value = (
                x.reshape(-1, heads, windows, self.window, head).transpose(1, 2).reshape(-1, heads, self.window, head)
                for x in (query, key, value)
            )
            mixed = F.scaled_dot_product_attention(query, key, value)
            mixed = mixed.reshape(batch, windows, heads, self.window, head).transpose(1, 2)
            mixed = mixed.reshape(batch, heads, length, head)
        out: Tensor = attention.proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return out

    def _rotate(self, x: Tensor) -> Tensor:
        """Rotary positions (row and column) of `[B, heads, length, head_dim]`."""
        rotated: Tensor = x * self.cos + qwen.rotate_half(x) * self.sin
        return rotated
