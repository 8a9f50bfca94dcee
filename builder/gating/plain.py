"""The fp32 ONNX graph of a source, made again: what an artifact under suspicion is held against."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.model_spec import ModelSpec
from builder.sources.base import Source


@contextmanager
def plain_graph(source: Source, spec: ModelSpec) -> Iterator[Path]:
    """A folder with the fp32 graph and what it needs; gone with the context."""
    from builder.formats.onnx import OnnxFormat

    form = spec.candidate.model_copy(update={"format": "onnx", "precision": "fp32", "quantization": "none"})
    with tempfile.TemporaryDirectory(prefix="pixelis-plain-") as scratch:
        source.export_onnx(Path(scratch))
        OnnxFormat().optimise(Path(scratch), form)
        yield Path(scratch)
