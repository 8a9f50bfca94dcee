"""What the two PyTorch executors share. PyTorch itself is imported by them alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, ServingError, SetupError, Unavailable
from python_backends.engine.base import Engine, Tensors
from python_backends.engine.torch_settings import TorchSettings

_CALLER = ("index out of range", "out of bounds", "must match the size", "sizes of tensors must match")
"""What PyTorch says of values and sizes that the graph cannot take."""


class TorchEngine(Engine):
    """An artifact of PyTorch and its `engine.json`.

    The number of threads is a setting of the whole process in PyTorch: the engine that ran last has set it.

    Args:
        path: the artifact.
        threads: threads of one run (intra-op).
    """

    executor: ClassVar[str]

    def __init__(self, path: Path, threads: int) -> None:
        self._settings = settings = TorchSettings.read(path.parent)
        self.inputs, self.outputs = settings.inputs, settings.outputs
        self.threads = threads
        self._check_machine(settings)
        try:
            self._load(path)
        except Exception as error:  # PyTorch raises RuntimeError, OSError, and what its native code throws
            raise SetupError(
                f"{self.executor} cannot load {path.name}: {first_line(error)}.",
                mend="Build it again with `pixelis build`, in the environment that serves it.",
            ) from error
        self._open = True

    def _check_machine(self, settings: TorchSettings) -> None:
        """Raise `SetupError` where the artifact's code is for another machine."""
        from python_backends.engine.torch_device import require_device

        require_device(settings)

    @abstractmethod
    def _load(self, path: Path) -> None:
        """Load the artifact; may raise anything."""

    @abstractmethod
    def _forward(self, arrays: Sequence[NDArray[np.generic]]) -> Sequence[NDArray[np.generic]]:
        """Outputs in their order for inputs in theirs, within the thread budget; may raise anything."""

    @abstractmethod
    def _unload(self) -> None:
        """Forget the artifact."""

    def check(self, inputs: Mapping[str, NDArray[np.generic]]) -> None:
        """Beside names, types and shapes: bounds, because compiled code ends the process where one is broken.

        Raises:
            InvalidRequest: see `run`.
        """
        super().check(inputs)
        for tensor in self.inputs:
            array, rows = inputs[tensor.name], self._settings.limits.get(tensor.name)
            if rows is not None and array.size and not 0 <= array.min() <= array.max() < rows:
                raise InvalidRequest(
                    f"The model does not take these inputs: {tensor.name} holds {array.min()} to {array.max()}.",
                    mend=f"Its values are 0 to {rows - 1}.",
                )
            for axis, size in zip(tensor.shape, array.shape, strict=True):
                longest = self._settings.longest.get(axis) if isinstance(axis, str) else None
                if longest is not None and size > longest:
                    raise InvalidRequest(
                        f"The model does not take these inputs: {tensor.name} has {size} along `{axis}`.",
                        mend=f"It takes {longest} at most.",
                    )

    def _run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        if not self._open:
            raise Unavailable("The engine was closed.", mend="Load the model again.")
        try:
            found = self._forward([np.ascontiguousarray(inputs[tensor.name]) for tensor in self.inputs])
        except Exception as error:  # see __init__
            if any(words in str(error).lower() for words in _CALLER):
                raise InvalidRequest(f"The model does not take these inputs: {first_line(error)}.") from error
            raise ServingError(f"{self.executor} failed: {first_line(error)}.") from error
        return {tensor.name: array for tensor, array in zip(self.outputs, found, strict=True)}

    def close(self) -> None:
        """Let go of the artifact."""
        if self._open:
            self._open = False
            self._unload()


def first_line(error: Exception) -> str:
    """What PyTorch itself says, without its native stack and the code of the graph."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "Error" in line and ":" in line and " File " not in line), None)
    text = told or (lines[0] if lines else type(error).__name__)
    return text[:300].rstrip(".")
