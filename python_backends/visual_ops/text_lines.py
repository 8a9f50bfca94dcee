"""From boxes to text: each line is straightened, brought to 48 pixels of height, and read column by column.

Lines are batched with others of about their width: short ones beside long ones would be mostly padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.visual_ops.ocr import LINE_HEIGHT, MAX_LINES, Ocr
from python_backends.visual_ops.text_boxes import Quad

BUCKET = 160
"""Padded widths are multiples of it."""
MAX_WIDTH = 3200
VERTICAL = 1.5
"""A box this much higher than wide holds a line turned by 90 degrees."""


@dataclass(frozen=True)
class Reading:
    """What one line says.

    Attributes:
        text: without blanks at its ends.
        confidence: mean probability of its characters; 0 for no text.
    """

    text: str
    confidence: float


def straighten(image: Pixels, quad: Quad) -> Pixels:
    """The inside of `quad` upright, `[height, width, 3]`, at the picture's own resolution."""
    width = max(1, round(max(math.dist(quad[0], quad[1]), math.dist(quad[3], quad[2]))))
    height = max(1, round(max(math.dist(quad[0], quad[3]), math.dist(quad[1], quad[2]))))
    target = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    warp = cv2.getPerspectiveTransform(np.asarray(quad, np.float32), target)
    line = cv2.warpPerspective(image, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if height > VERTICAL * width:
        line = np.rot90(line)
    return np.ascontiguousarray(line, dtype=np.uint8)


def read_lines(lines: Sequence[Pixels], ocr: Ocr) -> list[Reading]:
    """What each line says, in the order given.

    Args:
        lines: pictures of one line each, of any size.
        ocr: the models; called with at most `MAX_LINES` lines of one width at a time.
    """
    scaled = [_scaled(line) for line in lines]
    readings = [Reading("", 0.0)] * len(lines)
    by_bucket: dict[int, list[int]] = {}
    for index, line in enumerate(scaled):
        by_bucket.setdefault(-(-line.shape[1] // BUCKET) * BUCKET, []).append(index)
    characters = ocr.characters
    for bucket, members in sorted(by_bucket.items()):
        members.sort(key=lambda index: scaled[index].shape[1])
        for start in range(0, len(members), MAX_LINES):
            chosen = members[start : start + MAX_LINES]
            batch = np.zeros((len(chosen), LINE_HEIGHT, bucket, 3), np.uint8)
            for row, index in enumerate(chosen):
                batch[row, :, : scaled[index].shape[1]] = scaled[index]
            widths = np.array([scaled[index].shape[1] for index in chosen], np.int32)
            indexes, probabilities = ocr.recognize(batch, widths)
            for row, index in enumerate(chosen):
                readings[index] = decode(indexes[row], probabilities[row], characters)
    return readings


def decode(index: NDArray[np.int32], probability: NDArray[np.float32], characters: Sequence[str]) -> Reading:
    """CTC's best path: repeats collapse, blanks (index 0) fall out (Graves et al., ICML 2006).

    Args:
        index: `[T]` most probable class of each column.
        probability: `[T]` its probability.
        characters: what a class stands for.
    """
    starts = np.ones(len(index), bool)
    starts[1:] = index[1:] != index[:-1]
    kept = starts & (index > 0)
    text = "".join(characters[i] for i in index[kept]).strip()
    return Reading(text, float(probability[kept].mean()) if text else 0.0)


def _scaled(line: Pixels) -> Pixels:
    height, width = line.shape[:2]
    target = min(max(math.ceil(LINE_HEIGHT * width / height), 1), MAX_WIDTH)
    mode = cv2.INTER_AREA if height > 1.5 * LINE_HEIGHT else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(line, (target, LINE_HEIGHT), interpolation=mode), np.uint8)
