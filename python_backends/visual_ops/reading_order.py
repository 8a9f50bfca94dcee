"""The order in which a person reads lines of text on a page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Rect = tuple[float, float, float, float]
"""`(x1, y1, x2, y2)`."""


def reading_order(boxes: Sequence[Rect]) -> list[list[int]]:
    """Indexes of `boxes` (x1, y1, x2, y2) as rows from top to bottom, each from left to right.

    Columns of text are read one after the other where an empty gutter separates them over several rows.
    """
    return _rows(list(range(len(boxes))), boxes)


def _rows(chosen: list[int], boxes: Sequence[Rect]) -> list[list[int]]:
    columns = _columns(chosen, boxes)
    if len(columns) > 1:
        return [row for column in columns for row in _rows(column, boxes)]
    rows: list[list[int]] = []
    for index in sorted(chosen, key=lambda i: boxes[i][1] + boxes[i][3]):
        if rows and _same_row(boxes[index], [boxes[i] for i in rows[-1]]):
            rows[-1].append(index)
        else:
            rows.append([index])
    return [sorted(row, key=lambda i: boxes[i][0]) for row in rows]


def _same_row(box: Rect, row: list[Rect]) -> bool:
    """Whether more than half of the lower one's height is shared."""
    top, bottom = float(np.mean([b[1] for b in row])), float(np.mean([b[3] for b in row]))
    shared = min(box[3], bottom) - max(box[1], top)
    return shared > 0.5 * min(box[3] - box[1], bottom - top)


def _columns(chosen: list[int], boxes: Sequence[Rect]) -> list[list[int]]:
    """`chosen` split at the widest empty gutter, if at least three lines on either side run beside each other."""
    if len(chosen) < 6:
        return [chosen]
    height = float(np.median([boxes[i][3] - boxes[i][1] for i in chosen]))
    order = sorted(chosen, key=lambda i: boxes[i][0])
    reach, best, cut = boxes[order[0]][2], 0.8 * height, 0
    for place in range(1, len(order)):
        gap = boxes[order[place]][0] - reach
        if gap > best and min(place, len(order) - place) >= 3:
            best, cut = gap, place
        reach = max(reach, boxes[order[place]][2])
    left, right = order[:cut], order[cut:]
    if not cut or not _beside(left, right, boxes) or not all(_prose(side, boxes, height) for side in (left, right)):
        return [chosen]
    return [*_columns(left, boxes), *_columns(right, boxes)]


def _prose(side: list[int], boxes: Sequence[Rect], height: float) -> bool:
    """Whether most lines fill their column; the cells of a table do not, and are read along its rows."""
    extent = max(boxes[i][2] for i in side) - min(boxes[i][0] for i in side)
    width = float(np.median([boxes[i][2] - boxes[i][0] for i in side]))
    return width > 0.6 * extent and width > 5 * height


def _beside(left: list[int], right: list[int], boxes: Sequence[Rect]) -> bool:
    tops = [min(boxes[i][1] for i in side) for side in (left, right)]
    bottoms = [max(boxes[i][3] for i in side) for side in (left, right)]
    shared = min(bottoms) - max(tops)
    return shared > 0.5 * min(bottoms[0] - tops[0], bottoms[1] - tops[1])
