"""Which kernel of scaled dot-product attention really runs in a loaded artifact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_NAMES = ("scaled_dot_product", "flash", "efficient_attention")


def kernels(call: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> str:
    """The attention operators that PyTorch's profiler sees while `call` runs once, or that there are none."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as seen:
        call(*inputs)
    found = {event.key for event in seen.key_averages() if any(name in event.key for name in _NAMES)}
    # the composite operator only picks one of the others
    found = {name for name in found if name != "aten::scaled_dot_product_attention"} or found
    return ", ".join(sorted(found)) or "no fused attention operator: matrix products and a softmax, or none at all"
