"""The fp32 ONNX graph of a source, made again: what an artifact under suspicion is held against."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.model_spec import ModelSpec
from builder.sources.base import Source
from pixelis.settings import settings


@contextmanager
def plain_graph(source: Source, spec: ModelSpec) -> Iterator[Path]:
    """A folder with the fp32 graph and what it needs; gone with the context.

    It lies where builds are in progress, as a decoder's is as large as one.
    """
    from builder.formats.onnx import OnnxFormat
    from builder.store import PREFIX

    form = spec.candidate.model_copy(update={"format": "onnx", "precision": "fp32", "quantization": "none"})
    area = settings().state.absolute() / "staging"
    area.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=area) as scratch:
        source.export_onnx(Path(scratch))
        OnnxFormat().optimise(Path(scratch), form)
        yield Path(scratch)
