"""Real graphs of segment_anything's signature that segment by the colour of the clicked pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, save

GRID = 256


def _value(name: str, shape: list[int | str]) -> object:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _constant(name: str, values: NDArray[np.generic]) -> object:
    kind = TensorProto.INT64 if values.dtype == np.int64 else TensorProto.FLOAT
    return helper.make_tensor(name, kind, values.shape, values.ravel().tolist())


def _whole(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def write_segmenter(folder: Path, logit: float = 3.0) -> Path:
    """`encoder.onnx` averages 4 x 4 pixels; the logit of `decoder.onnx` is `logit` less the distance from the colour.

    The second of its two masks is always the better one.
    """
    write_encoder(folder / "encoder.onnx")
    write_decoder(folder / "decoder.onnx", logit)
    return folder


def write_encoder(path: Path, side: int = 1024) -> None:
    """Alone, for images of another side too."""
    pool = helper.make_node("AveragePool", ["image"], ["image_embeddings"], kernel_shape=[4, 4], strides=[4, 4])
    inputs, outputs = [_value("image", [1, 3, side, side])], [_value("image_embeddings", [1, 3, side // 4, side // 4])]
    _written(path, [pool], inputs, outputs)


def write_decoder(path: Path, logit: float = 3.0, inputs_more: tuple[str, ...] = ()) -> None:
    """Alone, with inputs that nobody knows where they are named."""
    constants = [
        _constant("first", _whole([0])), _constant("second", _whole([1])), _constant("axis", _whole([1])),
        _constant("cell", np.array([4.0], np.float32)), _constant("three", np.array([logit], np.float32)),
        _constant("xs", _whole([0])), _constant("ys", _whole([1])), _constant("hw", _whole([2])),
        _constant("side", np.array([1024.0], np.float32)), _constant("half", np.array([0.5], np.float32)),
        _constant("zeros", _whole([0, 0])), _constant("axes", _whole([2, 3])), _constant("batch", _whole([1, 3])),
    ]  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Slice", ["point_coords", "first", "second", "axis"], ["clicked"]),
        node("Squeeze", ["clicked", "axis"], ["xy"]),
        node("Div", ["xy", "cell"], ["in_cells"]),
        node("Cast", ["in_cells"], ["whole"], to=TensorProto.INT64),
        node("Gather", ["whole", "ys"], ["row"], axis=1),
        node("Gather", ["whole", "xs"], ["column"], axis=1),
        node("Squeeze", ["row"], ["y"]),
        node("Squeeze", ["column"], ["x"]),
        node("Gather", ["image_embeddings", "y"], ["line"], axis=2),
        node("Gather", ["line", "x"], ["colour"], axis=2),
        node("Unsqueeze", ["colour", "axes"], ["spread"]),
        node("Sub", ["image_embeddings", "spread"], ["apart"]),
        node("ReduceL2", ["apart"], ["distance"], axes=[1], keepdims=1),
        node("Sub", ["three", "distance"], ["low_res_masks"]),
        node("ReduceMax", ["orig_im_size"], ["longest"], keepdims=0),
        node("Mul", ["orig_im_size", "side"], ["enlarged"]),
        node("Div", ["enlarged", "longest"], ["scaled"]),
        node("Div", ["scaled", "cell"], ["cells"]),
        node("Add", ["cells", "half"], ["rounded"]),
        node("Cast", ["rounded"], ["ends"], to=TensorProto.INT64),
        node("Slice", ["low_res_masks", "zeros", "ends", "axes"], ["unpadded"]),
        node("Cast", ["orig_im_size"], ["size"], to=TensorProto.INT64),
        node("Shape", ["low_res_masks"], ["shape"]),
        node("Slice", ["shape", "first", "hw"], ["leading"]),
        node("Concat", ["leading", "size"], ["sizes"], axis=0),
        node("Resize", ["unpadded", "", "", "sizes"], ["mask"], mode="linear"),
        node("Neg", ["mask"], ["inverse"]),
        node("Concat", ["inverse", "mask"], ["masks"], axis=1),
        node("Sigmoid", ["distance"], ["likely"]),
        node("ReduceMean", ["likely"], ["estimate"], axes=[2, 3], keepdims=0),
        node("Mul", ["estimate", "half"], ["worse"]),
        node("Concat", ["worse", "estimate"], ["iou_predictions"], axis=1),
    ]
    inputs = [
        _value("image_embeddings", [1, 3, GRID, GRID]), _value("point_coords", [1, "points", 2]),
        _value("point_labels", [1, "points"]), _value("mask_input", [1, 1, 256, 256]), _value("has_mask_input", [1]),
        _value("orig_im_size", [2]), *(_value(name, [1]) for name in inputs_more),
    ]  # fmt: skip
    outputs = [
        _value("masks", [1, 2, "height", "width"]), _value("iou_predictions", [1, 2]),
        _value("low_res_masks", [1, 1, GRID, GRID]),
    ]  # fmt: skip
    _written(path, nodes, inputs, outputs, constants)


def _written(
    path: Path,
    nodes: list[object],
    inputs: list[object],
    outputs: list[object],
    constants: list[object] | None = None,
) -> None:
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, constants or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    save(model, path)
