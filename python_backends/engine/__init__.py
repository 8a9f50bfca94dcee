"""Runs an artifact, whatever its format, behind one interface."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from pixelis.errors import NotFound
from python_backends.engine.base import Engine, TensorDescription, Tensors

__all__ = ["ENGINES", "Engine", "TensorDescription", "Tensors", "load_engine"]

ENGINES: dict[str, tuple[str, str]] = {
    "model.onnx": ("onnxruntime_engine", "OnnxRuntimeEngine"),
    "model.xml": ("openvino_engine", "OpenVinoEngine"),
    "model.ts": ("torchscript_engine", "TorchScriptEngine"),
    "model.pt2": ("aotinductor_engine", "AotInductorEngine"),
}
"""By the artifact's file: module and class. A class takes `(path, threads)`."""


def load_engine(directory: Path, threads: int) -> Engine:
    """The engine for the artifact in `directory`, chosen by the file that is there (see `ENGINES`).

    Args:
        directory: a version folder.
        threads: threads that one run may use.

    Raises:
        NotFound: no artifact of a known format is there.
        SetupError: the executor cannot load it, or is not installed.
    """
    for file, (module, name) in ENGINES.items():
        if (directory / file).is_file():
            # Imported here, so that a process holds the one executor that it needs.
            found: type[Engine] = getattr(import_module(f"python_backends.engine.{module}"), name)
            return found(directory / file, threads)
    where = f"{directory.parent.name}/{directory.name}"
    raise NotFound(f"No {' or '.join(ENGINES)} in {where}.", mend="Run `pixelis build`.")
