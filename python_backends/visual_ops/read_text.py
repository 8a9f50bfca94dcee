"""READ_TEXT: what is written in a region.

A region is looked at from far away first, where that is allowed, and from closer by while a line is unsure: too small
for the detector, hardly detected, or read with doubt. Lines that were read with certainty are not read again.
"""

from __future__ import annotations

import math
from typing import Any

from python_backends.images import Pixels
from python_backends.visual_ops.arguments import ReadTextArguments, clipped, parse
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.ocr import Ocr
from python_backends.visual_ops.reading_order import reading_order
from python_backends.visual_ops.text_boxes import Quad
from python_backends.visual_ops.text_found import MIN_CONFIDENCE, Found, read_seen, sight
from python_backends.visual_ops.text_lines import Batches, read_lines, straighten
from python_backends.visual_ops.text_looks import FULL_SIDE, Canvas, Seen, canvas_of, look
from python_backends.visual_ops.text_turning import level, upside_down
from python_backends.visual_ops.text_words import words_of

WHOLE_CONFIDENCE = 0.8
"""From which a region in which nothing was detected is believed when read as one line."""


def read_text(
    image: Pixels,
    arguments: dict[str, Any],
    ocr: Ocr,
    effort: Effort | None = None,
    batches: Batches | None = None,
) -> dict[str, Any]:
    """Detect and read the lines of a region in reading order.

    Args:
        image: `[height, width, 3]` RGB.
        arguments: `region` (clipped to the image; the whole by default), `return_boxes`, `return_words`.
        ocr: the models.
        effort: how hard to look; by default one look at full resolution.
        batches: is told of each call of the recogniser.

    Returns:
        `text` (rows separated by line breaks), `confidence` (mean over its characters), `region` as used, and
        `lines`: `text`, `confidence`, and `box` in pixels of the original unless `return_boxes` is false; with
        `return_words` also `words`, which have all three.

    Raises:
        InvalidOperation: a region that is empty or outside the image, or a malformed argument.
    """
    wanted = parse(ReadTextArguments, arguments, "READ_TEXT")
    size = (image.shape[1], image.shape[0])
    region = clipped(wanted.region, size, wanted.normalized) if wanted.region else (0, 0, *size)
    canvas, effort, batches = canvas_of(image, region), effort or Effort(), batches or Batches()
    found = upside_down(canvas, _looks(canvas, ocr, effort, batches), ocr, effort, batches)
    kept = [line for line in found if line.reading.confidence >= MIN_CONFIDENCE] or _whole(canvas, ocr, batches)
    rows = reading_order(level([line.quad for line in kept], canvas))
    return {
        "text": "\n".join(" ".join(kept[index].reading.text for index in row) for row in rows),
        "confidence": _confidence(kept),
        "region": list(region),
        "lines": [_line(kept[index], canvas, wanted) for row in rows for index in row],
    }


def _looks(canvas: Canvas, ocr: Ocr, effort: Effort, batches: Batches) -> list[Found]:
    """Lines from as close by as they have to be looked at.

    What the detector could not see well is seen better at the next look: nothing is read before that.
    """
    seen: list[Seen] = []
    found: list[Found] = []
    for share in effort.steps():
        seen = look(canvas, share, ocr) or seen
        if share < 1 and not effort.enough(min(map(sight, seen), default=0.0)):
            continue
        found = read_seen(canvas, seen, found, ocr, effort, batches)
        if effort.enough(min((line.certainty for line in found), default=0.0)):
            break
    return found


def _whole(canvas: Canvas, ocr: Ocr, batches: Batches) -> list[Found]:
    """A region without detected lines, read as one line if it is shaped like one; kept where the reader is sure."""
    quad = canvas.whole
    width, height = quad[2] - quad[0]
    if height > width or max(canvas.pixels.shape[:2]) > FULL_SIDE[0]:
        return []
    reading = read_lines([straighten(canvas.pixels, quad)], ocr, batches)[0]
    return [Found(quad, reading, 0.0, 0.0)] if reading.confidence >= WHOLE_CONFIDENCE else []


def _line(line: Found, canvas: Canvas, wanted: ReadTextArguments) -> dict[str, Any]:
    reading = line.reading
    entry = _entry(reading.text, reading.confidence, line.quad if wanted.return_boxes else None, canvas)
    if wanted.return_words:
        entry["words"] = [
            _entry(word.text, word.confidence, word.quad(line.quad), canvas) for word in words_of(reading)
        ]
    return entry


def _entry(text: str, confidence: float, quad: Quad | None, canvas: Canvas) -> dict[str, Any]:
    entry: dict[str, Any] = {"text": text, "confidence": round(confidence, 4)}
    if quad is not None:
        entry["box"] = [int(value) for value in canvas.bounds(quad)]
    return entry


def _confidence(lines: list[Found]) -> float:
    """Mean probability over all characters; 0 where there is no text."""
    letters = sum(len(line.reading.text) for line in lines)
    total = math.fsum(len(line.reading.text) * line.reading.confidence for line in lines)
    return round(total / letters, 4) if letters else 0.0
