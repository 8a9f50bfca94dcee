"""From pixels to the first matrix of a Qwen vision tower: stills, or two frames that are one temporal patch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def normalised(view: Tensor, scale: Tensor, shift: Tensor, frames: int) -> Tensor:
    """Channels as the tower takes them.

    Args:
        view: uint8 `[B, H, W, 3]`; for towers of two frames also `[B, H, W, 6]`, one frame behind the other.
        scale: of each channel.
        shift: of each channel.
        frames: of one patch, as in `patch_embedding`.

    Returns:
        `[B, H, W, 3 * frames]`; a still stands for both frames.
    """
    if frames == 1:
        return view.to(torch.float32) * scale + shift
    # a shape that is not made of whole frames fails here
    seen = view.reshape(*view.shape[:-1], -1, 3).to(torch.float32) * scale + shift
    return torch.cat([seen[..., 0, :], seen[..., -1, :]], dim=-1)


def patch_embedding(tower: Any, frames: int) -> nn.Linear:
    """The patch convolution as a matrix over (row, column, frame, channel); of stills, both frames added up."""
    convolution = tower.patch_embed.proj
    weight = convolution.weight.detach()
    kept = weight.sum(dim=2, keepdim=True) if frames == 1 else weight
    flat = kept.permute(0, 3, 4, 2, 1).reshape(weight.shape[0], -1)
    linear = nn.Linear(flat.shape[1], flat.shape[0], bias=convolution.bias is not None)
    linear.weight = nn.Parameter(flat.contiguous(), requires_grad=False)
    if convolution.bias is not None:
        linear.bias = nn.Parameter(convolution.bias.detach(), requires_grad=False)
    return linear
