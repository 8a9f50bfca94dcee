"""Nodes meant by name and by place, and calibration data of every source."""

from __future__ import annotations

import pytest

from builder.formats.onnx_nodes import chosen_nodes
from builder.sources.base import Tensors
from builder.spec import pipeline
from pixelis.errors import BuildError


def _graph() -> object:
    from onnx import TensorProto, helper

    groups = (1, 8, 1, 8)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name=f"c{i}", group=group) for i, group in enumerate(groups)]
    sizes = {"first": [8, 4], "up": [4, 8], "down": [8, 4]}
    nodes += [helper.make_node("MatMul", ["y", f"{name}.w"], [name], name=name) for name in sizes]
    weights = [helper.make_tensor(f"{name}.w", TensorProto.FLOAT, size, [0.0] * 32) for name, size in sizes.items()]
    nodes += [helper.make_node("MatMul", ["up", "down"], ["p"], name="p"), helper.make_node("Relu", ["y"], ["z"], "r")]
    return helper.make_graph(nodes, "g", [], [], weights)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ((), []),
        (("r", "c1"), ["c1", "r"]),
        (("Conv[:2]",), ["c0", "c1"]),
        (("Conv[-1:]", "Conv[depthwise]"), ["c1", "c3"]),
        (("Relu[:]",), ["r"]),
        (("MatMul[narrowing]",), ["down"]),
    ],
)
def test_nodes_by_name_and_place(wanted: tuple[str, ...], found: list[str]) -> None:
    assert chosen_nodes(_graph(), wanted) == found  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", ["c9", "Conv[9:]", "Gemm[:1]", "Relu[depthwise]"])
def test_what_means_no_node_is_refused(wanted: str) -> None:
    with pytest.raises(BuildError, match="has no node"):
        chosen_nodes(_graph(), (wanted,))  # type: ignore[arg-type]


def _rows(samples: list[Tensors]) -> set[bytes]:
    return {b"".join(array[row].tobytes() for array in s.values()) for s in samples for row in range(_length(s))}


def _length(sample: Tensors) -> int:
    return len(next(iter(sample.values())))


@pytest.mark.parametrize(
    "name", ["embed_image", "embed_text", "vision_encoder", "dynamics", "ocr_detect", "ocr_recognize"]
)
def test_calibration_is_real_repeats_and_is_none_of_the_gates(name: str) -> None:
    source = pipeline()[name].open_source()
    if source.missing():
        pytest.skip("the source's files are not there")
    calibration = source.calibration()
    assert sum(map(_length, calibration)) >= 64
    assert _rows(calibration) == _rows(source.calibration())
    assert not _rows(calibration) & _rows(source.samples())
    inputs = {tensor.name for tensor in pipeline()[name].inputs}
    assert all(sample.keys() == inputs for sample in calibration)
