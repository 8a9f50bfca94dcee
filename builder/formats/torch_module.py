"""What both PyTorch formats export: a source's module with its precision inside, and tensors as the spec promises."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from builder.candidate import Candidate
from builder.formats import torch_int8
from builder.formats.base import TensorInfo
from builder.sources.base import Source, TorchSource
from pixelis.errors import BuildError
from python_backends.engine.base import TensorDescription
from python_backends.engine.torch_settings import TorchSettings

if TYPE_CHECKING:
    import torch

_TRITON = {"float32": "FP32", "float16": "FP16", "bool": "BOOL"}


class Traced(NamedTuple):
    """A source ready to be exported.

    Attributes:
        module: takes and gives the tensors that the spec promises; `forward` gives a tuple.
        example: inputs to trace with.
        other: inputs whose every free axis is of another length, to see that it stayed free.
    """

    source: TorchSource
    module: torch.nn.Module
    example: tuple[torch.Tensor, ...]
    other: tuple[torch.Tensor, ...]


def torch_source(source: Source, candidate: Candidate) -> TorchSource:
    """`source`, which must have a PyTorch module.

    Raises:
        BuildError: it is files of another framework.
    """
    if not isinstance(source, TorchSource):
        raise BuildError(
            f"`{source.name}` has no PyTorch module, so it cannot be built as {candidate.label}.",
            mend="Build it as onnx, or in a format that is made from ONNX.",
        )
    return source


def prepare(source: Source, candidate: Candidate) -> Traced:
    """The module of `source` in the candidate's precision, and what to trace it with."""
    import torch

    found, device = torch_source(source, candidate), candidate.optimization.device
    torch.backends.cudnn.allow_tf32 = False  # a trace writes it into every convolution
    arrays = found.example()
    example = tuple(torch.from_numpy(np.ascontiguousarray(arrays[name])).to(device) for name in found.inputs)
    axes = found.dynamic_axes()
    other = tuple(
        _stretched(tensor, sorted(axes.get(name, {}))) for name, tensor in zip(found.inputs, example, strict=True)
    )
    return Traced(found, in_precision(found.loaded, candidate, found.name), example, other)


def in_precision(module: torch.nn.Module, candidate: Candidate, name: str) -> torch.nn.Module:
    """`module` with the candidate's arithmetic inside and single precision outside; the given one is not changed.

    fp16 and bf16: weights of matrices, convolutions and tables are stored in the type, and autocast picks the operators
    that run in it; norms and what a source computes in single precision on purpose stay so. `autocast` alone leaves
    the weights as they are. int8: see `torch_int8`.
    """
    import torch

    types = {"fp16": torch.float16, "bf16": torch.bfloat16}
    small, device = types.get(candidate.precision), candidate.optimization.device
    if small is not None or device != "cpu":
        module = copy.deepcopy(module).to(device)
    if small is not None:
        for part in module.modules():
            if isinstance(part, torch.nn.Linear | torch.nn.Conv2d | torch.nn.Embedding):
                part.to(small)
    elif candidate.quantization == "dynamic":
        module = torch_int8.dynamic(module, candidate.optimization, name)
    cast = small or types.get(candidate.optimization.autocast)

    class Promised(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if cast is None:
                answer = self.inner(*tensors)
            else:
                with torch.autocast(device, cast, cache_enabled=False):
                    answer = self.inner(*tensors)
            answers = answer if isinstance(answer, tuple) else (answer,)
            return tuple(a.to(torch.float32) if a.is_floating_point() else a for a in answers)

    return Promised(module).eval()


def _stretched(tensor: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """`tensor`, doubled along each of `axes`."""
    for axis in axes:
        tensor = tensor.repeat_interleave(2, dim=axis)
    return tensor


def check_axes(traced: Traced, artifact: Any) -> TorchSettings:
    """Run `artifact` and the module on the other sizes, and describe the tensors.

    Raises:
        BuildError: an axis that should vary was fixed while exporting.
    """
    import torch

    with torch.inference_mode():
        small, large = traced.module(*traced.example), traced.module(*traced.other)
        try:
            again = artifact(*traced.other)
        except RuntimeError as error:
            raise _fixed(traced, f": {str(error).splitlines()[0][:200]}") from error
    for name, wanted, got in zip(traced.source.outputs, large, again, strict=True):
        if wanted.shape != got.shape:
            raise _fixed(traced, f": {name} is {list(got.shape)} instead of {list(wanted.shape)}")
    labels = traced.source.dynamic_axes()
    inputs = [
        _describe(name, tensor, labels.get(name, {}))
        for name, tensor in zip(traced.source.inputs, traced.example, strict=True)
    ]
    outputs = []
    for name, one, two in zip(traced.source.outputs, small, large, strict=True):
        free = [axis for axis in range(one.ndim) if one.shape[axis] != two.shape[axis]]
        outputs.append(_describe(name, one, {axis: "batch" if axis == 0 else f"{name}.{axis}" for axis in free}))
    device = traced.example[0].device.type
    return TorchSettings(tuple(inputs), tuple(outputs), limits=_limits(traced), device=device)


def _limits(traced: Traced) -> dict[str, int]:
    """Inputs whose values index a table of weights: how many rows it has. Compiled code ends where one is exceeded."""
    import torch

    found: dict[str, int] = {}

    def seen(table: torch.nn.Embedding, given: tuple[torch.Tensor, ...]) -> None:
        for name, tensor in zip(traced.source.inputs, traced.example, strict=True):
            if given[0].data_ptr() == tensor.data_ptr():
                found[name] = min(table.num_embeddings, found.get(name, table.num_embeddings))

    tables = [part for part in traced.module.modules() if isinstance(part, torch.nn.Embedding)]
    hooks = [table.register_forward_pre_hook(seen) for table in tables]
    with torch.inference_mode():
        traced.module(*traced.example)
    for hook in hooks:
        hook.remove()
    return found


def _fixed(traced: Traced, what: str) -> BuildError:
    return BuildError(
        f"An axis of `{traced.source.name}` that should vary was fixed while exporting{what}.",
        mend="Trace with an example longer than 1 there and without Python branches on it.",
    )


def _describe(name: str, tensor: torch.Tensor, free: dict[int, str]) -> TensorDescription:
    shape = tuple(free.get(axis, int(size)) for axis, size in enumerate(tensor.shape))
    return TensorDescription(name, tensor.cpu().numpy().dtype, shape)


def tensors(settings: TorchSettings) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Inputs and outputs as a `Description` has them."""
    sides = []
    for side in (settings.inputs, settings.outputs):
        sides.append(
            tuple(
                TensorInfo(
                    tensor.name,
                    _TRITON.get(tensor.dtype.name, tensor.dtype.name.upper()),
                    tuple(axis if isinstance(axis, int) else -1 for axis in tensor.shape),
                )
                for tensor in side
            )
        )
    return sides[0], sides[1]


def made_up(settings: TorchSettings) -> tuple[torch.Tensor, ...]:
    """Inputs of ones, two along every free axis: enough to see which kernels run."""
    import torch

    return tuple(
        torch.from_numpy(np.ones([axis if isinstance(axis, int) else 2 for axis in tensor.shape], tensor.dtype)).to(
            settings.device
        )
        for tensor in settings.inputs
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Without PyTorch's warnings of its own deprecations and of branches that a trace fixes (`check_axes` looks)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
