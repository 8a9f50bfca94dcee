"""Rows to ask with, and graphs to ask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, helper


def rows(n: int, start: float = 0) -> np.ndarray:
    """`n` rows of three floats that count up from `start`."""
    return start + np.arange(n * 3, dtype=np.float32).reshape(n, 3)


def write_onnx(graph: GraphProto, path: Path) -> Path:
    """`graph` as a model that every executor of today reads."""
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
