"""From a source's module to a Core ML program: inputs in types that Core ML has, axes that vary, names as promised."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builder.candidate import Candidate
from builder.formats.torch_module import quiet
from builder.sources.base import TorchSource
from pixelis.errors import BuildError

OPERATOR = re.compile(r"(?:convert function for op|[Uu]nsupported (?:fx node|op(?:erator)?)) '?([\w:.]+)'?")
_ROOM = 2
"""Upper bound of an axis besides the batch, in multiples of the longest sample."""
_BATCH = 32
_TYPES = {"uint8": np.float32, "int64": np.int32}


def converted(source: TorchSource, candidate: Candidate) -> Any:
    """The module of `source` as an `MLModel` that is not compiled, its weights in fp32 or fp16.

    Raises:
        BuildError: it answers differently when its inputs come in the types that Core ML has.
    """
    import coremltools as ct
    import torch

    arrays = source.example()
    example = [np.ascontiguousarray(arrays[name]) for name in source.inputs]
    types = [_TYPES.get(array.dtype.name, array.dtype.type) for array in example]
    cast = tuple(torch.from_numpy(array.astype(kind)) for array, kind in zip(example, types, strict=True))
    module = source.loaded
    with quiet(), torch.inference_mode():
        right, again = module(*(torch.from_numpy(array) for array in example)), module(*cast)
        for one, two in zip(_tuple(right), _tuple(again), strict=True):
            if not torch.allclose(one.float(), two.float(), atol=1e-5):
                raise BuildError(
                    f"`{source.name}` answers differently to FP32 and INT32 inputs, and Core ML has no others.",
                    mend="Cast the inputs at the beginning of the module.",
                )
    with quiet(), torch.no_grad():
        graph = torch.jit.trace(module, cast, check_trace=False)
        inputs = [
            ct.TensorType(name, shape=_shape(source, name), dtype=kind)
            for name, kind in zip(source.inputs, types, strict=True)
        ]
        return ct.convert(
            graph,
            inputs=inputs,
            outputs=[ct.TensorType(name, dtype=np.float32) for name in source.outputs],
            convert_to="mlprogram",
            compute_precision=ct.precision.FLOAT16 if candidate.precision == "fp16" else ct.precision.FLOAT32,
            minimum_deployment_target=ct.target.iOS17,
            skip_model_load=True,
        )


def weights(source: TorchSource) -> dict[str, NDArray[Any]]:
    """The source's weights by name, and under `NAME.folded` convolutions with the batch norm that follows inside."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    module = source.loaded
    names = {part: name for name, part in module.named_modules()}
    made: dict[int, tuple[torch.nn.Conv2d, torch.Tensor]] = {}
    found = {name: tensor.detach() for name, tensor in module.state_dict().items()}

    def convolved(part: torch.nn.Conv2d, given: Any, answer: torch.Tensor) -> None:
        made[id(answer)] = part, answer

    def normed(norm: torch.nn.BatchNorm2d, given: tuple[torch.Tensor, ...]) -> None:
        conv = made.get(id(given[0]), (None,))[0]
        if conv is None or norm.running_mean is None or norm.running_var is None:
            return
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        found[f"{names[conv]}.weight.folded"], found[f"{names[conv]}.bias.folded"] = weight.detach(), bias.detach()

    hooks: list[Any] = []
    for part in names:
        if isinstance(part, torch.nn.Conv2d):
            hooks.append(part.register_forward_hook(convolved))
        elif isinstance(part, torch.nn.BatchNorm2d):
            hooks.append(part.register_forward_pre_hook(normed))
    if hooks:
        source.reference(source.example())
    for hook in hooks:
        hook.remove()
    return {name: tensor.float().numpy() for name, tensor in found.items()}


def _tuple(answer: Any) -> tuple[Any, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _shape(source: TorchSource, name: str) -> tuple[Any, ...]:
    """Every axis that varies as a range from 1."""
    import coremltools as ct

    free = source.dynamic_axes().get(name, {})
    sizes = [sample[name].shape for sample in source.samples()]
    return tuple(
        ct.RangeDim(1, max(_BATCH, max(shape[axis] for shape in sizes) * (1 if axis == 0 else _ROOM)))
        if axis in free
        else size
        for axis, size in enumerate(source.example()[name].shape)
    )
