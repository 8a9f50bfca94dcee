"""TorchScript on the CPU, within an explicit thread budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from python_backends.engine.torch_engine import TorchEngine

Arrays = Sequence[NDArray[np.generic]]


class TorchScriptEngine(TorchEngine):
    """`model.ts` in PyTorch's interpreter of frozen graphs."""

    executor = f"TorchScript (PyTorch {torch.__version__})"

    def _load(self, path: Path) -> None:
        self._module: Any = torch.jit.load(str(path), map_location="cpu")
        self._module.eval()

    def _forward(self, arrays: Arrays) -> Arrays:
        return run_tensors(self._module, arrays, self.threads)

    def _unload(self) -> None:
        self._module = None


def run_tensors(call: Callable[..., Any], arrays: Arrays, threads: int) -> Arrays:
    """Arrays through `call` on `threads` threads of this thread's own pool, without a copy on the way in."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    with torch.inference_mode():
        answer = call(*(torch.from_numpy(array) for array in arrays))
    answers = answer if isinstance(answer, tuple | list) else (answer,)
    return [tensor.numpy() for tensor in answers]
