"""What was read on a picture: a region inside one that was read is answered from it where its lines fit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from pixelis.schema import Operation, OperationName, OperationResult
from python_backends.visual_ops.arguments import Region
from python_backends.visual_ops.reading_order import Rect, reading_order

SURE = 0.9
"""Confidence that every line must have: an unsure one may read better from close by."""
SLACK = 0.75
"""By how much of a letter's width a line may reach over the region's border: boxes are grown around letters."""
LEAST_SLACK = 2.0
"""The same in pixels, at least."""
LARGEST = 64.0
"""How much larger, by area, what was read may be than the region: a far larger one was seen at a lower scale."""


def is_inside(inner: Region, outer: Region) -> bool:
    """Whether a region lies in another one."""
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


class ReadRegions:
    """Results of READ_TEXT by picture. For any number of threads.

    Args:
        pictures: how many are remembered, the least recently used goes first.
        each: regions of one picture, the oldest goes first.
    """

    def __init__(self, pictures: int = 64, each: int = 32) -> None:
        self._pictures, self._each = pictures, each
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, list[tuple[Region, OperationResult]]] = OrderedDict()

    def keep(self, picture: str, result: OperationResult) -> None:
        """Remember a reading with boxes; one without, or of what could not be read, is passed over.

        Args:
            picture: what was looked at, and by which models.
            result: of READ_TEXT.
        """
        found = result.result
        if (
            result.operation is not OperationName.READ_TEXT
            or result.error
            or not all("box" in x for x in _lines(found))
        ):
            return
        x1, y1, x2, y2 = (int(value) for value in found["region"])
        with self._lock:
            kept = self._kept.setdefault(picture, [])
            self._kept.move_to_end(picture)
            kept.append(((x1, y1, x2, y2), result))
            del kept[: -self._each]
            while len(self._kept) > self._pictures:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all of it."""
        with self._lock:
            self._kept.clear()

    def answer(self, picture: str, operation: Operation) -> OperationResult | None:
        """The answer to a READ_TEXT, in its canonical spelling, from one that was read around it; nothing if none fits.

        Raises nothing: arguments that are malformed have no region.
        """
        region = region_of(operation)
        if region is None:
            return None
        with self._lock:
            kept = list(self._kept.get(picture, ()))
        for outer, result in sorted(kept, key=lambda entry: _area(entry[0])):
            if outer == region or not is_inside(region, outer) or _area(outer) > LARGEST * _area(region):
                continue
            lines = _fitting(_lines(result.result), region)
            if lines and (not operation.arguments.get("return_words") or all("words" in line for line in lines)):
                return _part(region, outer, lines, result)
        return None


def region_of(operation: Operation) -> Region | None:
    """The region of a READ_TEXT in its canonical spelling; nothing for any other operation."""
    region = operation.arguments.get("region")
    if operation.operation is not OperationName.READ_TEXT or not isinstance(region, list) or len(region) != 4:
        return None
    if not all(isinstance(value, int) for value in region):
        return None
    x1, y1, x2, y2 = region
    return x1, y1, x2, y2


def _lines(found: dict[str, Any]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = found.get("lines", [])
    return lines


def _fitting(lines: Sequence[dict[str, Any]], region: Region) -> list[dict[str, Any]]:
    """The lines inside a region; none where one is unsure, or is cut by the region's border.

    A line is where its words are: the box of a slanting one also holds what is above and below it.
    """
    chosen = []
    for line in lines:
        x1, y1, x2, y2 = _bounds(line["box"])
        slack = max(LEAST_SLACK, SLACK * max(x2 - x1, y2 - y1) / max(len(line["text"]), 1))
        parts = [_bounds(word["box"]) for word in line.get("words", ())] or [(x1, y1, x2, y2)]
        if all(_is_outside(part, region, slack) for part in parts):
            continue
        if not all(_is_within(part, region, slack) for part in parts) or line["confidence"] < SURE:
            return []
        chosen.append(line)
    return chosen


def _is_outside(part: Rect, region: Region, slack: float) -> bool:
    wide = min(part[2], region[2]) - max(part[0], region[0])
    return wide <= slack or min(part[3], region[3]) - max(part[1], region[1]) <= slack


def _is_within(part: Rect, region: Region, slack: float) -> bool:
    before = part[0] >= region[0] - slack and part[1] >= region[1] - slack
    return before and part[2] <= region[2] + slack and part[3] <= region[3] + slack


def _part(region: Region, outer: Region, lines: list[dict[str, Any]], result: OperationResult) -> OperationResult:
    """A reading of some of the lines of another one."""
    rows = reading_order([_bounds(line["box"]) for line in lines])
    letters = sum(len(line["text"]) for line in lines)
    sure = sum(len(line["text"]) * line["confidence"] for line in lines) / letters
    found = {
        "text": "\n".join(" ".join(lines[i]["text"] for i in row) for row in rows),
        "confidence": round(sure, 4),
        "region": list(region),
        "lines": [{**lines[i], "box": _cut(lines[i]["box"], region)} for row in rows for i in row],
    }
    left_out = f"a look of its own: it was read as part of {list(outer)}"
    return result.model_copy(update={"result": found, "elapsed_ms": 0.0, "skipped": [left_out]})


def _bounds(box: Sequence[int]) -> Rect:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def _cut(box: Sequence[int], region: Region) -> list[int]:
    """What of a box is inside a region."""
    return [max(box[0], region[0]), max(box[1], region[1]), min(box[2], region[2]), min(box[3], region[3])]


def _area(region: Region) -> int:
    return (region[2] - region[0]) * (region[3] - region[1])
