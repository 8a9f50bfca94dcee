"""Runs an artifact, whatever its format, behind one interface."""

from __future__ import annotations

from pathlib import Path

from pixelis.errors import NotFound
from python_backends.engine.base import Engine, TensorDescription, Tensors

__all__ = ["Engine", "TensorDescription", "Tensors", "load_engine"]


def load_engine(directory: Path, threads: int) -> Engine:
    """The engine for the artifact in `directory`, chosen by the file that is there (`model.onnx`).

    Args:
        directory: a version folder.
        threads: threads that one run may use.

    Raises:
        NotFound: no artifact of a known format is there.
        SetupError: the executor cannot load it.
    """
    path = directory / "model.onnx"
    if not path.is_file():
        raise NotFound(f"No model.onnx in {directory.parent.name}/{directory.name}.", mend="Run `pixelis build`.")
    # Imported here, so that a process which runs another format does not load ONNX Runtime.
    from python_backends.engine.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(path, threads)
