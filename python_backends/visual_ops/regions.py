"""Connected regions of a mask."""

from __future__ import annotations

import cv2
import numpy as np

from python_backends.visual_ops.rle import Mask

HOLE = 0.3
"""Largest hole that is part of the object (letters on a label), as a share of the object with its holes."""


def piece_at(mask: Mask, at: tuple[int, int], reach: int = 2) -> Mask | None:
    """The connected piece at `at` (row, column), or the nearest one within `reach` pixels."""
    _, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    row, column = at
    if not pieces[row, column]:
        top, left = max(row - reach, 0), max(column - reach, 0)
        near = np.argwhere(pieces[top : row + reach + 1, left : column + reach + 1]) + np.array((top, left))
        if not len(near):
            return None
        row, column = near[np.abs(near - at).sum(1).argmin()]
    return np.asarray(pieces == pieces[row, column], np.bool_)


def filled(mask: Mask) -> Mask:
    """`mask` with its holes, except where a hole is a good part of it (a ring).

    A mask that reaches three sides of the picture is what things lie on, and its holes are they.
    """
    if sum((mask[:, 0].any(), mask[0].any(), mask[:, -1].any(), mask[-1].any())) >= 3:
        return mask
    _, pieces, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    left, top, wide, high, size = (stats[:, i] for i in range(5))
    outside = (left == 0) | (top == 0) | (left + wide == mask.shape[1]) | (top + high == mask.shape[0])
    area = int(mask.sum())
    belongs = ~outside & (size <= HOLE * (area + size))
    belongs[0] = False  # the mask itself
    return np.asarray(mask | belongs[pieces], np.bool_)


def touches(mask: Mask, sides: tuple[bool, bool, bool, bool]) -> bool:
    """Whether `mask` reaches one of the named sides: left, top, right, bottom."""
    reached = mask[:, 0].any(), mask[0].any(), mask[:, -1].any(), mask[-1].any()
    return any(side and bool(hit) for side, hit in zip(sides, reached, strict=True))
