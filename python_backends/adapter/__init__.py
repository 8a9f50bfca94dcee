"""Triton tensors <-> plain typed calls. The only package that imports `triton_python_backend_utils`.

    requests -> rows -> answer(rows) -> contract -> responses        UnaryModel       model.py
    requests -> rows -> one(row), side by side, each sent when done  SideBySideModel
    request  -> row  -> serve(row, sink), returns at once            StreamModel      stream.py
    Caller                                                           calls of sibling models, each with a deadline

One bad request never fails its batch: each gets its own error, as `code: message` text.
"""

from __future__ import annotations

from python_backends.adapter.caller import Caller
from python_backends.adapter.model import Model, SideBySideModel, UnaryModel, log_info
from python_backends.adapter.stream import Sink, StreamModel

__all__ = ["Caller", "Model", "SideBySideModel", "Sink", "StreamModel", "UnaryModel", "log_info"]
