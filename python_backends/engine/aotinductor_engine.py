"""AOTInductor packages on the CPU: PyTorch's compiled kernels, without its interpreter, within a thread budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch._inductor

from pixelis.errors import SetupError
from pixelis.machine import this_machine
from python_backends.engine.torch_engine import TorchEngine
from python_backends.engine.torch_settings import TorchSettings
from python_backends.engine.torchscript_engine import Arrays, run_tensors


class AotInductorEngine(TorchEngine):
    """`model.pt2`: native code for one kind of CPU, refused on any other rather than ended by SIGILL."""

    executor = f"AOTInductor (PyTorch {torch.__version__})"

    def _check_machine(self, settings: TorchSettings) -> None:
        missing = sorted(settings.features - this_machine().features)
        if missing:
            raise SetupError(
                f"The package holds code for a CPU with {', '.join(missing)}, which this one lacks.",
                mend="Build it on this machine: pixelis build --formats aotinductor",
            )

    def _load(self, path: Path) -> None:
        self._package: Any = torch._inductor.aoti_load_package(str(path))

    def _forward(self, arrays: Arrays) -> Arrays:
        return run_tensors(self._package, arrays, self.threads)

    def _unload(self) -> None:
        self._package = None
