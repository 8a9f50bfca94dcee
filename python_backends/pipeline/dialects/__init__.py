"""How checkpoints write their calls and answers, as data: a YAML file a dialect.

    qwen2_5_vl       the default: the six operations by their own names, and crops; pixels of the view
    qwen3_vl         the same in thousandths of the view, and `image_zoom_in_tool`, which counts images from 0
    deepeyes         `image_zoom_in_tool` in pixels of the first view
    pixel_reasoner   crops in shares of the view, frames by number

A checkpoint names one in its pixelis.json (`"dialect": "qwen3_vl"`) or brings its own, `"dialect": "dialect.yaml"`.
"""

from __future__ import annotations

from python_backends.pipeline.dialects.answers import AnswerMark
from python_backends.pipeline.dialects.load import OWN, default_dialect, dialect_of, load_dialect, read_dialect, shipped
from python_backends.pipeline.dialects.model import Dialect, Space, Target, Tool

__all__ = [
    "OWN",
    "AnswerMark",
    "Dialect",
    "Space",
    "Target",
    "Tool",
    "default_dialect",
    "dialect_of",
    "load_dialect",
    "read_dialect",
    "shipped",
]
