"""Writing an OpenVINO model so that the same source gives the same bytes, and counting what is in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MADE_UP = re.compile(r"[A-Z][A-Za-z]*_\d+")
_BITS = {"f64": 64, "f32": 32, "f16": 16, "bf16": 16, "i8": 8, "u8": 8, "i4": 4, "u4": 4}
"""Element types that weights have; int32 and int64 constants are axes and shapes."""


@dataclass(frozen=True)
class Numbers:
    """The constants of a model.

    Attributes:
        weights: how many numbers.
        small: how many of them in 8 bits or fewer.
        bytes: what they take in the file.
    """

    weights: int
    small: int
    bytes: int


def save(model: Any, path: Path, *, half: bool) -> None:
    """Write `model` to `path` and its weights beside it, without the paths and parameters of its conversion.

    Args:
        model: is changed.
        path: the .xml.
        half: store fp32 weights in fp16.
    """
    import openvino

    for entry in ("conversion_parameters", "nncf"):
        if model.has_rt_info(entry):
            _drop(model, entry)
    name_nodes(model)
    openvino.save_model(model, str(path), compress_to_fp16=half)


def _drop(model: Any, entry: str) -> None:
    info = model.get_rt_info()
    del info[entry]


def name_nodes(model: Any) -> None:
    """Names that the converter makes up are numbered through the process: number them through the model instead."""
    model.set_friendly_name("model")
    for index, node in enumerate(model.get_ordered_ops()):
        if _MADE_UP.fullmatch(node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}.{index}")


def numbers(model: Any) -> Numbers:
    """Count the constants of `model`."""
    weights = small = size = 0
    for node in model.get_ops():
        kind = node.get_output_element_type(0).get_type_name() if node.get_type_name() == "Constant" else ""
        if kind in _BITS:
            count = 1
            for length in node.get_output_shape(0):
                count *= length
            weights += count
            small += count if _BITS[kind] <= 8 else 0
            size += (count * _BITS[kind] + 7) // 8
    return Numbers(weights, small, size)


def axis_names(graph: Path) -> dict[str, list[int | str]]:
    """By input and output of an ONNX file, a size or a name for every axis; one without either is its own."""
    import onnx

    found: dict[str, list[int | str]] = {}
    loaded = onnx.load(str(graph), load_external_data=False).graph
    for value in [*loaded.input, *loaded.output]:
        dims = value.type.tensor_type.shape.dim
        found[value.name] = [
            dim.dim_value if dim.HasField("dim_value") else dim.dim_param or f"{value.name}.{i}"
            for i, dim in enumerate(dims)
        ]
    return found
