"""READ_TEXT: what is written in a region.

A region is shown to the detector with a margin of its own border colours, at a scale at which letters have the size
that the detector knows; lines are then cut out at full resolution and read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from python_backends.images import Pixels
from python_backends.visual_ops.arguments import ReadTextArguments, clipped, parse
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.reading_order import Rect, reading_order
from python_backends.visual_ops.text_boxes import Quad, find_boxes
from python_backends.visual_ops.text_lines import Reading, read_lines, straighten

MARGIN = 0.25
"""Margin on each side, as a share of the region's shorter side, for regions cut tightly around a label."""
MAX_MARGIN = 64
QUICK = (320, 960)
"""Bounds of the longer side at the first look, which is at half the region's resolution."""
CLOSE = (640, 1600)
"""Bounds of the longer side at the second look, which is at the region's resolution."""
SHORTEST = 64
"""The shorter side keeps this many pixels, or very long regions would lose their letters."""
LOW_LINE = 18
"""Lines lower than this many pixels at the first look deserve a second one."""
MULTIPLE = 32
MIN_CONFIDENCE = 0.6
"""Lines read with less are taken for things that only look like letters."""
WHOLE_CONFIDENCE = 0.8
"""From which a region in which nothing was detected is believed when read as one line."""


@dataclass(frozen=True)
class Canvas:
    """A region as the detector sees it.

    Attributes:
        pixels: the region with its margin, at its own resolution.
        origin: where the canvas' corner is in the original.
        margin: width of the margin in pixels.
    """

    pixels: Pixels
    origin: tuple[int, int]
    margin: int


def read_text(image: Pixels, arguments: dict[str, Any], ocr: Ocr, effort: Effort | None = None) -> dict[str, Any]:
    """Detect and read the lines of a region in reading order.

    Args:
        image: `[height, width, 3]` RGB.
        arguments: `region` (clipped to the image; the whole by default), `return_boxes`.
        ocr: the models.
        effort: how hard to look.

    Returns:
        `text` (rows separated by line breaks), `confidence` (mean over its characters), `region` as used, and
        `lines`: `text`, `confidence`, and `box` in pixels of the original unless `return_boxes` is false.

    Raises:
        InvalidOperation: a region that is empty or outside the image, or a malformed argument.
    """
    wanted = parse(ReadTextArguments, arguments, "READ_TEXT")
    size = (image.shape[1], image.shape[0])
    region = clipped(wanted.region, size, wanted.normalized) if wanted.region else (0, 0, *size)
    canvas = _canvas(image, region)
    quads = _detect(canvas, ocr)
    readings = read_lines([straighten(canvas.pixels, quad) for quad in quads], ocr)
    kept = [
        (quad, reading) for quad, reading in zip(quads, readings, strict=True) if reading.confidence >= MIN_CONFIDENCE
    ]
    if not kept:
        kept = _whole(canvas, ocr)
    rows = reading_order([_box(quad, canvas, region) for quad, _ in kept])
    lines = [_line(*kept[index], canvas, region, wanted.return_boxes) for row in rows for index in row]
    text = "\n".join(" ".join(kept[index][1].text for index in row) for row in rows)
    return {
        "text": text,
        "confidence": _confidence([reading for _, reading in kept]),
        "region": list(region),
        "lines": lines,
    }


def _canvas(image: Pixels, region: tuple[int, int, int, int]) -> Canvas:
    x1, y1, x2, y2 = region
    pixels = image[y1:y2, x1:x2]
    margin = min(max(2, round(MARGIN * min(pixels.shape[:2]))), MAX_MARGIN)
    padded = cv2.copyMakeBorder(pixels, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    return Canvas(np.asarray(padded, np.uint8), (x1 - margin, y1 - margin), margin)


def _detect(canvas: Canvas, ocr: Ocr) -> list[Quad]:
    """Boxes in pixels of the canvas: a quick look first, a closer one where letters are small or none are found."""
    longer = max(canvas.pixels.shape[:2])
    first, lowest = _look(canvas.pixels, min(max(longer // 2, QUICK[0]), QUICK[1]), ocr)
    if lowest >= LOW_LINE:
        return first
    second, _ = _look(canvas.pixels, min(max(longer, CLOSE[0]), CLOSE[1]), ocr)
    return second or first


def _look(pixels: Pixels, aim: int, ocr: Ocr) -> tuple[list[Quad], float]:
    """Boxes, and the height of the lower ones in pixels that the detector saw (a lower quartile; 0 for no box)."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    scale = max(aim / longest, min(SHORTEST / min(height, width), CLOSE[1] / longest))
    shape = [max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height)]
    mode = cv2.INTER_AREA if shape[0] < width else cv2.INTER_LINEAR
    boxes = find_boxes(ocr.detect(np.asarray(cv2.resize(pixels, shape, interpolation=mode), np.uint8)))
    back = np.array([width / shape[0], height / shape[1]], np.float32)
    limit = np.array([width, height], np.float32)
    heights = [min(math.dist(box.quad[0], box.quad[3]), math.dist(box.quad[0], box.quad[1])) for box in boxes]
    quads = [np.clip(box.quad * back, 0, limit).astype(np.float32) for box in boxes]
    return quads, float(np.percentile(heights, 25)) if heights else 0.0


def _whole(canvas: Canvas, ocr: Ocr) -> list[tuple[Quad, Reading]]:
    """A region without detected lines, read as one line if it is shaped like one; kept where the reader is sure."""
    margin = canvas.margin
    height, width = canvas.pixels.shape[:2]
    if height - 2 * margin > width - 2 * margin or max(height, width) > CLOSE[0]:
        return []
    inner = canvas.pixels[margin : height - margin, margin : width - margin]
    reading = read_lines([inner], ocr)[0]
    if reading.confidence < WHOLE_CONFIDENCE:
        return []
    right, bottom = width - margin, height - margin
    return [(np.array([(margin, margin), (right, margin), (right, bottom), (margin, bottom)], np.float32), reading)]


def _box(quad: Quad, canvas: Canvas, region: tuple[int, int, int, int]) -> Rect:
    """Bounds of `quad` in pixels of the original, inside the region."""
    x1, y1 = (float(v) for v in np.floor(quad.min(0)) + canvas.origin)
    x2, y2 = (float(v) for v in np.ceil(quad.max(0)) + canvas.origin)
    return max(x1, region[0]), max(y1, region[1]), min(x2, region[2]), min(y2, region[3])


def _line(
    quad: Quad, reading: Reading, canvas: Canvas, region: tuple[int, int, int, int], boxes: bool
) -> dict[str, Any]:
    line: dict[str, Any] = {"text": reading.text, "confidence": round(reading.confidence, 4)}
    if boxes:
        line["box"] = [int(value) for value in _box(quad, canvas, region)]
    return line


def _confidence(readings: list[Reading]) -> float:
    """Mean probability over all characters; 0 where there is no text."""
    letters = sum(len(reading.text) for reading in readings)
    total = math.fsum(len(reading.text) * reading.confidence for reading in readings)
    return round(total / letters, 4) if letters else 0.0
