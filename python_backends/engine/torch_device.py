"""Runs of a PyTorch artifact, numpy in and out: on the CPU, on a GPU, and there as captured CUDA graphs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pixelis.errors import SetupError
from python_backends.engine.torch_settings import TorchSettings

Arrays = Sequence[NDArray[np.generic]]
Call = Callable[..., Any]
WARM_UP = 3
"""Runs before a capture, as PyTorch asks for: what allocates once must not do so inside of it."""
CAPTURED = 32
"""Shapes whose graphs are kept; of more the one that was not asked for longest is let go."""


def require_device(settings: TorchSettings) -> None:
    """See that the artifact's device is there.

    Raises:
        SetupError: PyTorch reaches no GPU.
    """
    if settings.device == "cpu":
        return
    if not torch.cuda.is_available():
        raise SetupError(
            "The artifact computes on an NVIDIA GPU, and PyTorch reaches none here.",
            mend="Build it for the CPU: pixelis build --device cpu",
        )
    torch.backends.cudnn.allow_tf32 = False  # convolutions in single precision have 23 bits, as they say


def runner(call: Call, settings: TorchSettings, threads: int) -> Callable[[Arrays], Arrays]:
    """`call` on the device of `settings`, on `threads` threads of the calling thread's own pool."""
    if settings.device == "cpu":
        return lambda arrays: run_tensors(call, arrays, threads)
    return CapturedCalls(call) if settings.graphs else lambda arrays: _on_gpu(call, arrays)


def run_tensors(call: Call, arrays: Arrays, threads: int) -> Arrays:
    """Arrays through `call` on the CPU, without a copy on the way in."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    with torch.inference_mode():
        return [tensor.numpy() for tensor in several(call(*(torch.from_numpy(array) for array in arrays)))]


def several(answer: Any) -> Sequence[Any]:
    """Outputs as a sequence, where one is given alone too."""
    return answer if isinstance(answer, tuple | list) else (answer,)


def _on_gpu(call: Call, arrays: Arrays) -> Arrays:
    with torch.inference_mode():
        answers = several(call(*(torch.from_numpy(array).to("cuda") for array in arrays)))
        return [tensor.cpu().numpy() for tensor in answers]


class _Captured:
    """One graph: its inputs and outputs at fixed addresses, and pinned memory before and behind them."""

    def __init__(self, call: Call, arrays: Arrays, pool: Any) -> None:
        self._given = [torch.from_numpy(array).pin_memory() for array in arrays]
        self._inputs = [tensor.to("cuda") for tensor in self._given]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                call(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._outputs = several(call(*self._inputs))
        self._taken = [torch.empty(o.shape, dtype=o.dtype, pin_memory=True) for o in self._outputs]

    def __call__(self, arrays: Arrays) -> Arrays:
        for array, given, tensor in zip(arrays, self._given, self._inputs, strict=True):
            given.numpy()[...] = array
            tensor.copy_(given, non_blocking=True)
        self._graph.replay()
        for taken, made in zip(self._taken, self._outputs, strict=True):
            taken.copy_(made, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return [taken.numpy().copy() for taken in self._taken]


class CapturedCalls:
    """`call` as CUDA graphs, one for each set of shapes, captured when it comes first. For one thread at a time."""

    def __init__(self, call: Call, most: int = CAPTURED) -> None:
        self._call, self._most = call, most
        self._graphs: OrderedDict[tuple[tuple[int, ...], ...], _Captured] = OrderedDict()
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, arrays: Arrays) -> Arrays:
        """Outputs for `arrays`, in memory of their own."""
        shapes = tuple(array.shape for array in arrays)
        with torch.inference_mode():
            found = self._graphs.get(shapes)
            if found is None:
                while len(self._graphs) >= self._most:
                    self._graphs.popitem(last=False)
                found = self._graphs[shapes] = _Captured(self._call, arrays, self._pool)
            self._graphs.move_to_end(shapes)
            return found(arrays)
