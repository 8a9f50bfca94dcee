"""A segmenter of the SAM kind: real graphs of its signature that segment by the colour of the clicked pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, save

from pixelis.errors import ServingError
from python_backends.visual_ops import rle
from python_backends.visual_ops.arguments import Rle
from python_backends.visual_ops.features import EngineFeatures
from python_backends.visual_ops.segment_object_at import segment_object_at
from python_backends.visual_ops.segmenter import EngineSegmenter, Floats, prepared, segment

Pixels = NDArray[np.uint8]
GRID = 256


def _value(name: str, shape: list[int | str]) -> object:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _constant(name: str, values: NDArray[np.generic]) -> object:
    kind = TensorProto.INT64 if values.dtype == np.int64 else TensorProto.FLOAT
    return helper.make_tensor(name, kind, values.shape, values.ravel().tolist())


def _whole(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, np.int64)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An encoder that averages 4 x 4 pixels; a decoder whose logit is 3 less the distance from the click's colour."""
    encoder, decoder = tmp_path_factory.mktemp("encoder"), tmp_path_factory.mktemp("decoder")
    pool = helper.make_node("AveragePool", ["image"], ["image_embeddings"], kernel_shape=[4, 4], strides=[4, 4])
    _written(encoder, [pool], [_value("image", [1, 3, 1024, 1024])], [_value("image_embeddings", [1, 3, GRID, GRID])])
    constants = [
        _constant("first", _whole([0])), _constant("second", _whole([1])), _constant("axis", _whole([1])),
        _constant("cell", np.array([4.0], np.float32)), _constant("three", np.array([3.0], np.float32)),
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
        node("Resize", ["unpadded", "", "", "sizes"], ["masks"], mode="linear"),
        node("Sigmoid", ["distance"], ["likely"]),
        node("ReduceMean", ["likely"], ["iou_predictions"], axes=[2, 3], keepdims=0),
    ]
    inputs = [
        _value("image_embeddings", [1, 3, GRID, GRID]), _value("point_coords", [1, "points", 2]),
        _value("point_labels", [1, "points"]), _value("mask_input", [1, 1, 256, 256]), _value("has_mask_input", [1]),
        _value("orig_im_size", [2]),
    ]  # fmt: skip
    outputs = [
        _value("masks", [1, 1, "height", "width"]), _value("iou_predictions", [1, 1]),
        _value("low_res_masks", [1, 1, GRID, GRID]),
    ]  # fmt: skip
    _written(decoder, nodes, inputs, outputs, constants)
    return encoder, decoder


def _written(
    folder: Path,
    nodes: list[object],
    inputs: list[object],
    outputs: list[object],
    constants: list[object] | None = None,
) -> None:
    graph = helper.make_graph(nodes, folder.name, inputs, outputs, constants or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    save(model, folder / "model.onnx")


class Counted:
    """A segmenter that counts."""

    def __init__(self, inner: EngineSegmenter) -> None:
        self.inner, self.encoded, self.decoded = inner, 0, 0

    def encode(self, image: Floats) -> Floats:
        self.encoded += 1
        return self.inner.encode(image)

    def decode(self, embedding: Floats, points: Floats, labels: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
        self.decoded += 1
        return self.inner.decode(embedding, points, labels, size)


@pytest.fixture
def segmenter(folders: tuple[Path, Path]) -> Counted:
    return Counted(EngineSegmenter(*folders))


def two_blocks() -> tuple[Pixels, NDArray[np.bool_], NDArray[np.bool_]]:
    image = np.full((300, 500, 3), (20, 60, 200), np.uint8)
    masks = np.zeros((2, 300, 500), np.bool_)
    masks[0, 60:160, 80:230], masks[1, 200:280, 300:440] = True, True
    image[masks[0]], image[masks[1]] = (230, 40, 40), (240, 230, 70)
    return image, masks[0], masks[1]


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_second_click_costs_the_decoder_alone(segmenter: Counted, features: EngineFeatures) -> None:
    image, first, second = two_blocks()
    memory: dict[str, Floats] = {}
    for point, truth in (((100, 100), first), ((400, 250), second)):
        found = segment_object_at(image, {"point": list(point)}, features, memory=memory, segmenter=segmenter)
        mask = rle.decode(Rle.model_validate(found["mask"]), (500, 300))
        assert found["method"] == "segmenter"
        assert iou(mask, truth) >= 0.97
    assert (segmenter.encoded, segmenter.decoded, len(memory)) == (1, 2, 1)
    segment(image[:, ::-1], (100, 100), 0.5, segmenter, memory)
    assert (segmenter.encoded, len(memory)) == (2, 2)


def test_a_higher_threshold_keeps_less(segmenter: Counted) -> None:
    ramp = np.repeat(np.tile(np.linspace(0, 255, 400).astype(np.uint8), (200, 1))[..., None], 3, axis=2)
    areas = [segment(ramp, (200, 100), threshold, segmenter).mask.sum() for threshold in (0.4, 0.5, 0.6)]
    assert areas[0] > areas[1] > areas[2] > 0


def test_the_image_is_scaled_normalised_and_padded() -> None:
    image = np.full((300, 600, 3), (123, 116, 104), np.uint8)
    square = prepared(image)
    assert square.shape == (1, 3, 1024, 1024)
    assert np.abs(square[:, :, :512]).max() < 0.02
    assert not square[:, :, 512:].any()


def test_masks_of_another_size_are_an_error_that_says_so(segmenter: Counted) -> None:
    class Small(Counted):
        def decode(
            self, embedding: Floats, points: Floats, labels: Floats, size: tuple[int, int]
        ) -> tuple[Floats, Floats]:
            return super().decode(embedding, points, labels, (10, 10))

    with pytest.raises(ServingError, match=r"masks are \[1, 1, 10, 10\] for an image of 500x300.*export_onnx_model"):
        segment(two_blocks()[0], (100, 100), 0.5, Small(segmenter.inner))
