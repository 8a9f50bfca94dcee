"""What the two PP-OCR graphs share: ONNX files inside the `rapidocr` package, with pre-processing put in front.

The graphs keep their own operator set (11); the nodes added here exist in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from builder.sources.base import Source
from builder.sources.packages import package_file

if TYPE_CHECKING:
    import onnx

BGR = [2, 1, 0]


class OcrSource(Source):
    """A graph of `rapidocr` that takes normalised BGR `[B, 3, H, W]`."""

    weights: ClassVar[str]
    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]

    def files(self) -> Sequence[Path]:
        """The weight files, found in their packages."""
        return [package_file("rapidocr", f"models/{self.weights}")]

    def normalise(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """uint8 RGB `[B, H, W, 3]` -> what the package's own pre-processing feeds, `[B, 3, H, W]`."""
        scaled = images[..., ::-1].astype(np.float64) / 255.0
        normalised = (scaled - np.array(self.mean)) / np.array(self.std)
        return np.asarray(normalised.transpose(0, 3, 1, 2), dtype=np.float32)

    @cached_property
    def session(self) -> Any:
        """The package's graph, untouched, on one thread."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(str(self.files()[0]), options, providers=["CPUExecutionProvider"])

    def raw(self, normalised: NDArray[np.float32]) -> NDArray[np.float32]:
        """The package's graph on normalised pixels."""
        answer: NDArray[np.float32] = self.session.run(None, {self.session.get_inputs()[0].name: normalised})[0]
        return answer

    def graph(self) -> onnx.ModelProto:
        """The package's model, to be extended in place."""
        import onnx

        return onnx.load(str(self.files()[0]))


def constant(graph: onnx.GraphProto, name: str, value: NDArray[np.generic]) -> str:
    """Adds an initializer; returns its name."""
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def prepend(graph: onnx.GraphProto, image: str, source: OcrSource) -> list[onnx.NodeProto]:
    """Nodes from uint8 RGB NHWC `image` to normalised BGR NCHW `pixelis_normalised`."""
    from onnx import TensorProto, helper

    std = np.array(source.std, np.float64).reshape(1, 3, 1, 1)
    mean = np.array(source.mean, np.float64).reshape(1, 3, 1, 1)
    constant(graph, "pixelis_bgr", np.array(BGR, np.int64))
    constant(graph, "pixelis_scale", (1.0 / (255.0 * std)).astype(np.float32))
    constant(graph, "pixelis_shift", (mean / std).astype(np.float32))
    return [
        helper.make_node("Cast", [image], ["pixelis_float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixelis_float"], ["pixelis_nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["pixelis_nchw", "pixelis_bgr"], ["pixelis_flipped"], axis=1),
        helper.make_node("Mul", ["pixelis_flipped", "pixelis_scale"], ["pixelis_scaled"]),
        helper.make_node("Sub", ["pixelis_scaled", "pixelis_shift"], ["pixelis_normalised"]),
    ]


def replace_ends(
    graph: onnx.GraphProto,
    before: Sequence[onnx.NodeProto],
    after: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> None:
    """Put `before` and `after` around the graph's nodes and declare its new inputs and outputs.

    The last node of `before` must write what the graph read as its input.
    """
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    for field, values in ((graph.input, inputs), (graph.output, outputs)):
        del field[:]
        field.extend(values)
