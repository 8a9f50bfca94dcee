"""TorchScript, within an explicit thread budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from python_backends.engine.torch_device import Arrays, runner
from python_backends.engine.torch_engine import TorchEngine


class TorchScriptEngine(TorchEngine):
    """`model.ts` in PyTorch's interpreter of frozen graphs."""

    executor = f"TorchScript (PyTorch {torch.__version__})"

    def _load(self, path: Path) -> None:
        module: Any = torch.jit.load(str(path), map_location=self._settings.device).eval()
        # The executor that specialises may compile in any later run, which a capture cannot hold.
        call = plain(module) if self._settings.graphs else module
        self._runner: Any = runner(call, self._settings, self.threads)

    def _forward(self, arrays: Arrays) -> Arrays:
        made: Arrays = self._runner(arrays)
        return made

    def _unload(self) -> None:
        self._runner = None


def plain(module: Any) -> Any:
    """`module` run as its graph stands."""

    def run(*tensors: Any) -> Any:
        with torch.jit.optimized_execution(False):
            return module(*tensors)

    return run
