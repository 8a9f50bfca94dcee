"""Runs a policy artifact, whatever its format, behind `DecoderGraph`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from pixelis.errors import SetupError
from python_backends.policy.graph import DecoderGraph

EXECUTORS: dict[str, tuple[str, str]] = {
    "model.onnx": ("onnxruntime_decoder", "OnnxRuntimeDecoder"),
    "model.xml": ("openvino_decoder", "OpenVinoDecoder"),
    "model.ts": ("torch_decoder", "TorchDecoder"),
}
"""By the artifact's file: module and class. A class takes `(directory, slots, max_len, threads)`."""


def open_decoder(directory: Path, slots: int, max_len: int, threads: int) -> DecoderGraph:
    """The decoder in `directory`, run by what its file is for (see `EXECUTORS`).

    Args:
        directory: version folder of `policy`.
        slots: rows of the cache, hence sequences at once.
        max_len: tokens of one row; the rotary tables may cover fewer.
        threads: threads of one step.

    Raises:
        SetupError: no decoder of a known format is there, it is not complete, or its executor is not installed.
    """
    for file, (module, name) in EXECUTORS.items():
        if (directory / file).is_file():
            # Imported here, so that a process holds the one executor that it needs.
            found: type[DecoderGraph] = getattr(import_module(f"python_backends.policy.executors.{module}"), name)
            return found(directory, slots, max_len, threads)
    raise SetupError(
        f"No {' or '.join(EXECUTORS)} in {directory.name}: there is no decoder.",
        mend="Build it with `pixelis build policy`.",
    )
