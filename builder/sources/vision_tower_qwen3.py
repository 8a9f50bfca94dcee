"""The Qwen3-VL vision tower as a module that every exporter takes: its grid fixed, or read from the view.

Technical report: arXiv 2511.21631. Positions are learned on a square grid and interpolated to a picture's; there are
no windows; features of some layers in between (deepstack) go to the decoder's first layers, beside the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from builder.sources.vision_patches import normalised, patch_embedding


class InterpolatedTower(nn.Module):
    """Pixels to visual tokens.

    Args:
        tower: transformers' tower; its weights are shared.
        size: (width, height) of the view; none = of each batch, whole visual tokens, read when it runs.
        mean: of each channel, for values in 0-1.
        std: of each channel.
        frames: of one patch: 1 = stills alone, 2 = stills and pairs of frames (see `normalised`).
    """

    def __init__(
        self, tower: Any, size: tuple[int, int] | None, mean: Sequence[float], std: Sequence[float], frames: int = 1
    ) -> None:
        super().__init__()
        self.patch, self.merge, self.frames = tower.patch_size, tower.spatial_merge_size, frames
        self.register_buffer("scale", 1.0 / (255.0 * torch.tensor(std)), persistent=False)
        self.register_buffer("shift", -torch.tensor(mean) / torch.tensor(std), persistent=False)
        self.embed = patch_embedding(tower, frames)
        self.side = tower.num_grid_per_side
        self.learned = tower.pos_embed
        self.register_buffer("frequencies", tower.rotary_pos_emb.inv_freq.detach().float(), persistent=False)
        self.blocks = tower.blocks
        self.merger = tower.merger
        self.mergers = tower.deepstack_merger_list
        self.levels = list(tower.deepstack_visual_indexes)
        self.fixed = size is not None
        tables: Sequence[Tensor | None] = (None, None, None)
        if size is not None:
            with torch.no_grad():
                tables = self._tables(size[1] // self.patch, size[0] // self.patch)
        for name, table in zip(("places", "cos", "sin"), tables, strict=True):
            self.register_buffer(name, table, persistent=False)

    def forward(self, view: Tensor) -> Tensor:
        """view uint8 `[B, H, W, 3]` (of two frames `[B, H, W, 6]`) to tokens `[B, n, hidden * (1 + levels)]`.

        The features of each deepstack level stand behind the tokens, in the order of the decoder's layers.
        """
        rows, columns = view.shape[1] // self.patch, view.shape[2] // self.patch
        places, cos, sin = (self.places, self.cos, self.sin) if self.fixed else self._tables(rows, columns)
        hidden = self.embed(self._patches(view, rows, columns)) + places
        found = []
        for layer, block in enumerate(self.blocks):
            hidden = hidden + self._attend(block.attn, block.norm1(hidden), cos, sin)
            hidden = hidden + block.mlp(block.norm2(hidden))
            if layer in self.levels:
                found.append(self._merged(self.mergers[self.levels.index(layer)], hidden))
        return torch.cat([self._merged(self.merger, hidden), *found], dim=-1)

    def _tables(self, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
        """Learned positions `[patches, width]`, and cosines and sines of the rotary ones `[patches, head_dim]`."""
        table = self.learned.weight.float().reshape(self.side, self.side, -1)
        across = torch.einsum("cs,rsd->rcd", self._taps(columns), table)
        places = torch.einsum("rs,scd->rcd", self._taps(rows), across)
        row = torch.arange(rows)[:, None, None] * self.frequencies
        column = torch.arange(columns)[None, :, None] * self.frequencies
        half = len(self.frequencies)
        angles = torch.cat([row.expand(rows, columns, half), column.expand(rows, columns, half)], dim=-1)
        angles = self._in_blocks(angles, rows, columns)
        cos, sin = angles.cos(), angles.sin()
        return self._in_blocks(places, rows, columns), torch.cat([cos, cos], -1), torch.cat([sin, sin], -1)

    def _taps(self, count: int) -> Tensor:
        """Shares `[count, side]` of the learned places in places evenly from the first to the last of them."""
        at = torch.arange(count, dtype=torch.float32) * (self.side - 1) / max(count - 1, 1)
        return F.relu(1 - (at[:, None] - torch.arange(self.side, dtype=torch.float32)).abs())

    def _in_blocks(self, table: Tensor, rows: int, columns: int) -> Tensor:
        """`[rows, columns, width]` to `[rows * columns, width]`, the patches of one visual token side by side."""
        merge = self.merge
        blocks = table.reshape(rows // merge, merge, columns // merge, merge, table.shape[-1]).permute(0, 2, 1, 3, 4)
        return blocks.reshape(rows * columns, table.shape[-1])

    def _patches(self, view: Tensor, rows: int, columns: int) -> Tensor:
        """Normalised patches `[B, rows * columns, patch * patch * 3 * frames]`, each pixel's channels side by side."""
        side, merge = self.patch, self.merge
        x = normalised(view, self.scale, self.shift, self.frames)
        x = x.reshape(-1, rows // merge, merge, side, columns // merge, merge, side * 3 * self.frames)
        x = x.permute(0, 1, 4, 2, 5, 3, 6)
        return x.reshape(-1, rows * columns, side * side * 3 * self.frames)

    def _attend(self, attention: Any, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Attention of every patch of a picture to all of it."""
        batch, length, width = hidden.shape
        heads = attention.num_heads
        qkv = attention.qkv(hidden).reshape(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        query, key, value = rotated(qkv[0], cos, sin), rotated(qkv[1], cos, sin), qkv[2]
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = attention.proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return out

    def _merged(self, merger: Any, hidden: Tensor) -> Tensor:
        """Tokens `[B, n, hidden]` of patches: normalised before they are put together, or after (deepstack)."""
        batch, length, width = hidden.shape
        unit = self.merge**2
        if not merger.use_postshuffle_norm:
            hidden = merger.norm(hidden)
        together = hidden.reshape(batch, length // unit, unit * width)
        if merger.use_postshuffle_norm:
            together = merger.norm(together)
        out: Tensor = merger.linear_fc2(merger.act_fn(merger.linear_fc1(together)))
        return out


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (row and column) of `[B, heads, length, head_dim]`."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin
