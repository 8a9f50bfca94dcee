"""Scaled dot-product attention: which implementation is exported, and which kernel really runs afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from builder.optimization import Attention
from pixelis.errors import BuildError

if TYPE_CHECKING:
    import torch

_NAMES = ("scaled_dot_product", "flash", "efficient_attention")
NONE = "no attention operator: matrix products and a softmax, or none at all"


@contextmanager
def attention_as(kind: Attention, name: str) -> Iterator[None]:
    """Whatever calls `scaled_dot_product_attention` inside gets the implementation `kind`, written into the export.

    PyTorch's own `sdpa_kernel` chooses while running, and no choice of it survives in an artifact.

    Args:
        kind: `auto` leaves the choice to PyTorch.
        name: the model, for the error.

    Raises:
        BuildError: the model never calls it, so there is nothing to choose.
    """
    from torch.nn import functional

    if kind == "auto":
        yield
        return
    original, calls = functional.scaled_dot_product_attention, 0
    chosen = {"eager": _eager, "math": _math, "flash": _flash}[kind]

    def instead(*tensors: torch.Tensor, **options: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return chosen(*_cast(tensors), **options)

    functional.scaled_dot_product_attention = instead
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = original
    if not calls:
        raise BuildError(
            f"attention={kind} has no meaning for `{name}`: it computes attention without PyTorch's operator for it.",
            mend="Leave attention at `auto`.",
        )


def _cast(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What autocast does to the operator itself, which is not called here."""
    import torch

    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return list(tensors)
    small = torch.get_autocast_dtype(device)
    return [tensor.to(small) if tensor.is_floating_point() else tensor for tensor in tensors]


def _eager(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None = None
) -> torch.Tensor:
    """As it is written in the paper: products, a softmax, a mask that is added."""
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    if attn_mask is not None:
        scores = scores + attn_mask
    mixed: torch.Tensor = scores.softmax(dim=-1).to(value.dtype) @ value
    return mixed


def _math(query: Any, key: Any, value: Any, attn_mask: Any = None) -> Any:
    import torch

    return torch.ops.aten._scaled_dot_product_attention_math(query, key, value, attn_mask)[0]


def _flash(query: Any, key: Any, value: Any, attn_mask: Any = None) -> Any:
    import torch

    call = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return call(query, key, value, attn_mask=attn_mask)[0]


def kernels(call: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> str:
    """The attention operators that PyTorch's profiler sees while `call` runs once, or that there are none."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as seen:
        call(*inputs)
    found = {event.key for event in seen.key_averages() if any(name in event.key for name in _NAMES)}
    # the composite operator only picks one of the others
    found = {name for name in found if name != "aten::scaled_dot_product_attention"} or found
    return ", ".join(sorted(found)) or NONE
