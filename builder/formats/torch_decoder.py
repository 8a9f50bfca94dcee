"""What the script of the decoder says of itself: its weights are parameters, its call is its own."""

from __future__ import annotations

from pathlib import Path

from builder.formats import torch_module
from builder.formats.base import Description, TensorInfo

_TYPES = {"float32": "FP32", "bfloat16": "BF16"}
_CALL = {
    "embeds": ("FP32", (-1, -1, -1)),
    "positions": ("INT64", (3, -1, -1)),
    "starts": ("INT64", (-1,)),
    "at": ("INT64", (-1, -1)),
}
"""Tensors of the decoder's call; the cache is of the weights' type (`builder/sources/decoder_module.py`)."""


def describe_decoder(path: Path) -> Description:
    """Size, weights and call of the decoder's script."""
    import torch

    with torch_module.quiet():
        script = torch.jit.load(str(path), map_location="cpu")
    weights = list(script.parameters())
    dtype = _TYPES[str(script.head.weight.dtype).removeprefix("torch.")]
    inputs = [TensorInfo(name, *form) for name, form in _CALL.items()]
    return Description(
        inputs=(*inputs, TensorInfo("cache", dtype, (-1,) * 5)),
        outputs=(TensorInfo("logits", "FP32", (-1, -1, -1)),),
        nodes=sum(node.kind() != "prim::Constant" for node in script.inlined_graph.nodes()),
        parameters=sum(weight.numel() for weight in weights),
        weight_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        size_bytes=path.stat().st_size,
        notes={
            "upstream": "TorchScript is deprecated upstream",
            "attention": "scaled_dot_product_attention over the cache; PyTorch chooses the kernel at run time",
        },
    )
