"""PP-OCRv6 small text recognition: one line of letters, read column by column (CTC).

PP-OCR pads short lines with zeros *after* normalisation. No uint8 pixel normalises to exactly zero, so the true
width travels beside the pixels, and the graph itself clears what lies right of it, whatever the caller padded
with. (Grey 127 instead moved probabilities by up to 0.02, grey 128 by 0.15.)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from builder.sources.base import Tensors
from builder.sources.calibrating import calibration_lines
from builder.sources.ocr import OcrSource, constant, prepend, replace_ends
from builder.sources.pictures import WORDS, line, photographs
from builder.sources.task import Task

if TYPE_CHECKING:
    import onnx

HEIGHT = 48
CHARACTERS_FILE = "characters.json"
BLANK = ""


class OcrRecognize(OcrSource):
    """LINE UINT8 `[B, 48, W, 3]` RGB, WIDTH INT32 `[B, 1]` -> INDEX INT32 `[B, T]`, PROBABILITY FP32 `[B, T]`.

    WIDTH is a line's true width; columns from there on count as padding. T is W / 8. Index 0 is the CTC blank.
    """

    name = "ocr_recognize"
    weights = "PP-OCRv6_rec_small.onnx"
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)

    def characters(self) -> list[str]:
        """What each class index stands for: the blank, the graph's own character list, a space."""
        entries = {entry.key: entry.value for entry in self.graph().metadata_props}
        return [BLANK, *entries["character"].split("\n"), " "]

    def reference(self, inputs: Tensors) -> Tensors:
        """The package's graph behind zero padding as PP-OCR does it; arg-max and maximum by numpy."""
        pixels = self.normalise(inputs["LINE"])
        for row, width in zip(pixels, inputs["WIDTH"][:, 0], strict=True):
            row[:, :, int(width) :] = 0.0
        classes = self.raw(pixels)
        return {"INDEX": classes.argmax(2).astype(np.int32), "PROBABILITY": classes.max(2)}

    def samples(self) -> list[Tensors]:
        """Rendered lines at several batch sizes and widths, and a line of a photographed page."""
        drawn = [
            batch(WORDS[start : start + size], width)
            for start, size, width in ((0, 1, 320), (1, 3, 320), (2, 8, 480), (0, 2, 160))
        ]
        page = photographs(("page",), 3 * 384, 3 * 191)
        printed = page[:, 24 : 24 + HEIGHT, :640]
        return [*drawn, {"LINE": printed, "WIDTH": np.array([[printed.shape[2]]], np.int32)}]

    def calibration(self) -> list[Tensors]:
        """See `calibrating`."""
        lines = calibration_lines(96, HEIGHT)
        return [padded(lines[i : i + 8], width) for i, width in zip(range(0, 96, 8), (320, 480, 640) * 4, strict=True)]

    def tasks(self) -> list[Task]:
        """Rendered lines, read exactly."""
        from builder.tasks.reading import ExactLines

        return [ExactLines(self.characters())]

    def export_onnx(self, directory: Path) -> None:
        """Write `model.onnx` and the files that serving needs beside it."""
        from onnx import TensorProto, helper

        from builder.formats.onnx import MODEL_FILE, save

        model = self.graph()
        graph = model.graph
        before = prepend(graph, "LINE", self) + self._clear_padding(graph)
        classes = graph.output[0].name
        after = [
            helper.make_node("ArgMax", [classes], ["pixelis_index"], axis=2, keepdims=0),
            helper.make_node("Cast", ["pixelis_index"], ["INDEX"], to=TensorProto.INT32),
            helper.make_node("ReduceMax", [classes], ["PROBABILITY"], axes=[2], keepdims=0),
        ]
        inputs = [
            helper.make_tensor_value_info("LINE", TensorProto.UINT8, ["batch", HEIGHT, "width", 3]),
            helper.make_tensor_value_info("WIDTH", TensorProto.INT32, ["batch", 1]),
        ]
        outputs = [
            helper.make_tensor_value_info("INDEX", TensorProto.INT32, ["batch", "time"]),
            helper.make_tensor_value_info("PROBABILITY", TensorProto.FLOAT, ["batch", "time"]),
        ]
        replace_ends(graph, before, after, inputs, outputs)
        save(model, directory / MODEL_FILE)
        (directory / CHARACTERS_FILE).write_text(json.dumps(self.characters(), ensure_ascii=False), encoding="utf-8")

    @staticmethod
    def _clear_padding(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
        """`where(column < WIDTH, pixel, 0)`, written to what the graph reads."""
        from onnx import TensorProto, helper

        constant(graph, "pixelis_zero", np.array(0, np.int64))
        constant(graph, "pixelis_one", np.array(1, np.int64))
        constant(graph, "pixelis_black", np.array(0, np.float32))
        constant(graph, "pixelis_width_axis", np.array(2, np.int64))
        return [
            helper.make_node("Shape", ["LINE"], ["pixelis_shape"]),
            helper.make_node("Gather", ["pixelis_shape", "pixelis_width_axis"], ["pixelis_columns"], axis=0),
            helper.make_node("Range", ["pixelis_zero", "pixelis_columns", "pixelis_one"], ["pixelis_column"]),
            helper.make_node("Cast", ["WIDTH"], ["pixelis_width"], to=TensorProto.INT64),
            helper.make_node("Less", ["pixelis_column", "pixelis_width"], ["pixelis_inside"]),
            helper.make_node("Unsqueeze", ["pixelis_inside"], ["pixelis_mask"], axes=[1, 2]),
            helper.make_node("Where", ["pixelis_mask", "pixelis_normalised", "pixelis_black"], [graph.input[0].name]),
        ]


def batch(texts: tuple[str, ...], width: int) -> Tensors:
    """Lines of text padded (or cut) to `width`, with their true widths."""
    return padded([line(text, seed=row) for row, text in enumerate(texts)], width)


def padded(pictures: Sequence[NDArray[np.uint8]], width: int) -> Tensors:
    """Pictures of lines padded (or cut) to `width`, with their true widths."""
    lines = np.full((len(pictures), HEIGHT, width, 3), 255, np.uint8)
    widths = np.zeros((len(pictures), 1), np.int32)
    for row, picture in enumerate(pictures):
        pixels = picture[:, :width]
        lines[row, :, : pixels.shape[1]] = pixels
        widths[row] = pixels.shape[1]
    return {"LINE": lines, "WIDTH": widths}
