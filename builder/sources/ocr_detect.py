"""PP-OCRv6 small text detection: where in a picture letters are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from builder.sources.base import Tensors
from builder.sources.calibrating import batches, calibration_pictures
from builder.sources.ocr import OcrSource, prepend, replace_ends
from builder.sources.pictures import photographs, scene
from builder.sources.task import Task


class OcrDetect(OcrSource):
    """IMAGE UINT8 `[B, H, W, 3]` RGB, sides multiples of 32 -> MAP FP32 `[B, H, W]`, probability of text."""

    name = "ocr_detect"
    weights = "PP-OCRv6_det_small.onnx"
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)

    def reference(self, inputs: Tensors) -> Tensors:
        """The package's graph behind the package's own normalisation."""
        return {"MAP": self.raw(self.normalise(inputs["IMAGE"]))[:, 0]}

    def samples(self) -> list[Tensors]:
        """Generated pictures at several batch sizes and shapes, and photographs of printed pages."""
        shapes = ((1, 320, 320), (3, 96, 256), (8, 64, 128), (1, 224, 416))
        drawn: list[Tensors] = [
            {"IMAGE": np.stack([scene(width, height, 31 * size + i) for i in range(size)])}
            for size, height, width in shapes
        ]
        return [*drawn, {"IMAGE": photographs(("page", "text"), 416, 192)}]

    def calibration(self) -> list[Tensors]:
        """See `calibrating`."""
        sizes = ((320, 320), (256, 96), (416, 224))
        return [{"IMAGE": batch} for size in sizes for batch in batches(calibration_pictures(24, *size))]

    def tasks(self) -> list[Task]:
        """Lines of rendered pages, found."""
        from builder.tasks.reading import FoundLines

        return [FoundLines()]

    def export_onnx(self, directory: Path) -> None:
        """Write `model.onnx` and the files that serving needs beside it."""
        from onnx import TensorProto, helper

        from builder.formats.onnx import MODEL_FILE, save

        model = self.graph()
        graph = model.graph
        before = prepend(graph, "IMAGE", self)
        before.append(helper.make_node("Identity", ["pixelis_normalised"], [graph.input[0].name]))
        after = [helper.make_node("Squeeze", [graph.output[0].name], ["MAP"], axes=[1])]
        image = helper.make_tensor_value_info("IMAGE", TensorProto.UINT8, ["batch", "height", "width", 3])
        found = helper.make_tensor_value_info("MAP", TensorProto.FLOAT, ["batch", "height", "width"])
        replace_ends(graph, before, after, [image], [found])
        save(model, directory / MODEL_FILE)
