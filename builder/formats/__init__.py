"""Export formats, one file each; `open_format` imports the one that is asked for."""

from __future__ import annotations

from importlib import import_module

from builder.candidate import FormatName
from builder.formats.base import Format

CLASSES: dict[FormatName, str] = {
    "onnx": "OnnxFormat",
    "openvino": "OpenVinoFormat",
    "torchscript": "TorchScriptFormat",
    "aotinductor": "AotInductorFormat",
    "tensorrt": "TensorRtFormat",
    "coreml": "CoreMlFormat",
    "files": "FilesFormat",
}


def open_format(name: FormatName) -> Format:
    """The export format called `name`; what it needs is imported when it is used."""
    found: type[Format] = getattr(import_module(f"builder.formats.{name}"), CLASSES[name])
    return found()
