"""How far what was read is from what is written."""

from __future__ import annotations

from collections.abc import Sequence

Box = Sequence[float]
"""`(x1, y1, x2, y2)`."""


def distance(a: str, b: str) -> int:
    """Least number of letters to insert, delete or replace (Levenshtein 1966), row by row of the table."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (letter != other))
    return row[-1]


def in_order(wanted: Sequence[str], said: Sequence[str]) -> int:
    """How many of the lines are there to the letter and in their order: their longest common subsequence."""
    row = [0] * (len(said) + 1)
    for line in wanted:
        corner = 0
        for j, other in enumerate(said, 1):
            corner, row[j] = row[j], corner + 1 if line == other else max(row[j], row[j - 1])
    return row[-1]


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
