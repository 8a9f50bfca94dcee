"""AOTInductor packages on the CPU: PyTorch's compiled kernels, without its interpreter, within a thread budget."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from threading import Lock
from typing import Any

import torch
import torch._inductor

from pixelis.errors import SetupError
from pixelis.machine import this_machine
from python_backends.engine.torch_device import Arrays, run_tensors
from python_backends.engine.torch_engine import TorchEngine
from python_backends.engine.torch_settings import TorchSettings

_UNPACKING = Lock()


def load_package(path: Path) -> Any:
    """The package as a callable.

    PyTorch unpacks it among the system's temporary files and tidies up when the package is let go, which a process
    that is killed never does. Here the files go as soon as they are mapped: nothing is left, however this ends.
    """
    with _UNPACKING, tempfile.TemporaryDirectory(prefix="pixelis-package-") as folder:
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = folder
        try:
            return torch._inductor.aoti_load_package(str(path))
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before


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
        self._package: Any = load_package(path)

    def _forward(self, arrays: Arrays) -> Arrays:
        return run_tensors(self._package, arrays, self.threads)

    def _unload(self) -> None:
        self._package = None
