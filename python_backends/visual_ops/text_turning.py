"""How lines stand: upside down or not, and at which angle the page is that they are on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.reading_order import Rect
from python_backends.visual_ops.text_boxes import Quad
from python_backends.visual_ops.text_found import Found
from python_backends.visual_ops.text_lines import Batches, cut_out, read_lines
from python_backends.visual_ops.text_looks import Canvas

DOUBTFUL = 0.9
"""A line read with less is read turned by 180 degrees as well."""
LONG = 2.0
"""Lines this many times wider than high say how the page is turned."""
STRAIGHT = 0.5
"""Degrees up to which a page is taken to be straight: boxes of lines are no more exact than that."""


def upside_down(canvas: Canvas, lines: list[Found], ocr: Ocr, effort: Effort, batches: Batches) -> list[Found]:
    """The lines, those turned by 180 degrees that are read with more confidence then.

    Lines of one region mostly stand the same way: where one was read with certainty as it stands, doubtful ones beside
    it may be left as they are.
    """
    doubtful = [index for index, line in enumerate(lines) if line.reading.confidence < DOUBTFUL]
    if not doubtful or (len(doubtful) < len(lines) and effort.skip("180 degree check")):
        return lines
    quads = [np.roll(lines[index].quad, -2, axis=0) for index in doubtful]
    readings = read_lines([cut_out(canvas.pixels, quad) for quad in quads], ocr, batches)
    chosen = list(lines)
    for index, quad, reading in zip(doubtful, quads, readings, strict=True):
        if reading.confidence > lines[index].reading.confidence:
            chosen[index] = replace(lines[index], quad=quad, reading=reading)
    return chosen


def level(quads: Sequence[Quad], canvas: Canvas) -> list[Rect]:
    """Bounds of lines, on a page that is turned back where its lines do not run level.

    Args:
        quads: corners on the canvas, each from where its text begins.
        canvas: says where it is in the original.
    """
    angle = page_angle(quads)
    if abs(math.degrees(angle)) <= STRAIGHT:
        return [canvas.bounds(quad) for quad in quads]
    cos, sin = math.cos(angle), math.sin(angle)
    turned = [quad @ np.array([(cos, -sin), (sin, cos)]) for quad in quads]
    return [(float(x[:, 0].min()), float(x[:, 1].min()), float(x[:, 0].max()), float(x[:, 1].max())) for x in turned]


def page_angle(quads: Sequence[Quad]) -> float:
    """The direction in which most text runs, in radians clockwise on the screen; 0 where no line is long.

    Of the four quarter turns, the one nearest to the direction of most text is taken; then the mean over its lines.
    """
    ways = np.array([quad[1] - quad[0] + quad[2] - quad[3] for quad in quads], np.float64).reshape(-1, 2)
    heights = np.array([math.dist(quad[0], quad[3]) + math.dist(quad[1], quad[2]) for quad in quads])
    lengths = np.hypot(ways[:, 0], ways[:, 1])
    ways, lengths = ways[lengths >= LONG * heights], lengths[lengths >= LONG * heights]
    if not len(ways):
        return 0.0
    quarters = np.rint(np.arctan2(ways[:, 1], ways[:, 0]) / (math.pi / 2)).astype(int) % 4
    most = int(np.bincount(quarters, lengths).argmax())
    x, y = ways[quarters == most].sum(0)
    return math.atan2(y, x)
