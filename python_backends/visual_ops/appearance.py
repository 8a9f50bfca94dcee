"""Where in a frame something looks like an object: its pixels against every place, also such as are half outside.

The measure is the mean squared distance in CIE Lab over those of the object's pixels that are visible at a place; all
places at once by correlation (`sum w (T - I)^2 = sum w I^2 - 2 sum w T I + sum w T^2`, over the frame's pixels only).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.images import Pixels
from python_backends.visual_ops.rle import Mask

WORK_SIDE = 200
"""Longer side of the frames that are searched."""
LEAST_SIDE = 8
"""Shorter side of an object at that scale, at least: small objects are searched for in larger frames."""
MOST_SIDE = 480
VISIBLE = 0.12
"""Share of the object that must be visible for a place to count."""
LIGHTNESS = 0.7
"""Weight of lightness beside colour: light changes, paint does not."""
BLUR = 1.0
"""Standard deviation in pixels."""

Floats = NDArray[np.float32]


def work_scale(frame: tuple[int, int], box: tuple[float, float]) -> float:
    """Scale at which to search frames of size (width, height) for an object of such a size."""
    side = max(WORK_SIDE, min(MOST_SIDE, max(frame) * LEAST_SIDE / max(min(box), 1.0)))
    return min(1.0, side / max(frame))


def to_lab(frame: Pixels, scale: float) -> Floats:
    """A frame in weighted Lab at `scale`, a little blurred, so that half a pixel more or less makes no difference."""
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    blurred = cv2.GaussianBlur(lab, (0, 0), BLUR)
    return np.asarray(blurred * np.array([LIGHTNESS, 1, 1], np.float32), np.float32)


@dataclass(frozen=True)
class Places:
    """The measure at every place of the object's top left corner.

    Attributes:
        distance: `[rows, columns]`, infinite where too little would be visible.
        visible: share of the object inside the frame.
        origin: (x, y) of the first place; negative.
    """

    distance: Floats
    visible: Floats
    origin: tuple[int, int]

    def at(self, row: int, column: int) -> tuple[int, int]:
        """(x, y) in the frame of a place."""
        return column + self.origin[0], row + self.origin[1]


class Appearance:
    """An object's looks.

    Args:
        lab: `[height, width, 3]` its box, from `to_lab`.
        mask: `[height, width]` which of its pixels are the object, at least one.
    """

    def __init__(self, lab: Floats, mask: Mask) -> None:
        self.lab = lab
        self.weight = mask.astype(np.float32)
        self._shape: tuple[int, ...] = ()
        self._visible: Floats
        self._squares: Floats

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.lab.shape[1], self.lab.shape[0]

    def search(self, frame: Floats) -> Places:
        """Every place in `frame`, from `to_lab`."""
        width, height = self.size
        pad = (height - 1, height - 1, width - 1, width - 1)
        if frame.shape != self._shape:
            self._inside(frame.shape, pad)
        padded = cv2.copyMakeBorder(frame, *pad, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        weighted = np.ascontiguousarray(self.lab * self.weight[..., None])
        energy = np.ascontiguousarray((padded * padded).sum(2))
        total = (
            cv2.matchTemplate(energy, self.weight, cv2.TM_CCORR)
            - 2 * cv2.matchTemplate(padded, weighted, cv2.TM_CCORR)
            + self._squares
        )
        share = self._visible / self.weight.sum()
        distance = np.where(share >= VISIBLE, np.maximum(total, 0) / np.maximum(self._visible, 1e-3), np.inf)
        return Places(np.asarray(distance, np.float32), np.asarray(share, np.float32), (1 - width, 1 - height))

    def _inside(self, shape: tuple[int, ...], pad: tuple[int, int, int, int]) -> None:
        """What depends on the frame's size alone."""
        ones = cv2.copyMakeBorder(np.ones(shape[:2], np.float32), *pad, cv2.BORDER_CONSTANT, value=0)
        squares = np.ascontiguousarray(self.weight * (self.lab * self.lab).sum(2))
        self._visible = cv2.matchTemplate(ones, self.weight, cv2.TM_CCORR)
        self._squares = cv2.matchTemplate(ones, squares, cv2.TM_CCORR)
        self._shape = shape

    def patch(self, frame: Floats, centre: tuple[float, float], factor: float) -> tuple[Floats, Mask]:
        """What is in `frame` at a centre, of `factor` times the object's size, brought to the object's size.

        Returns:
            `[height, width, 3]`, and which pixels of it are inside the frame.
        """
        width, height = self.size
        x, y = centre[0] - 0.5 - factor * (width - 1) / 2, centre[1] - 0.5 - factor * (height - 1) / 2
        move = np.array([[factor, 0, x], [0, factor, y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch = cv2.warpAffine(frame, move, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        columns, rows = x + factor * np.arange(width), y + factor * np.arange(height)
        across = (columns > -0.5) & (columns < frame.shape[1] - 0.5)
        down = (rows > -0.5) & (rows < frame.shape[0] - 0.5)
        return np.asarray(patch, np.float32), np.asarray(down[:, None] & across, np.bool_)

    def distance(self, frame: Floats, centre: tuple[float, float], factor: float) -> tuple[float, float]:
        """The measure at one place and size, infinite where too little would be visible, and the share that is."""
        patch, inside = self.patch(frame, centre, factor)
        weight = self.weight * inside
        visible = float(weight.sum() / self.weight.sum())
        if visible < VISIBLE:
            return float("inf"), visible
        return float((((patch - self.lab) ** 2).sum(2) * weight).sum() / weight.sum()), visible

    def learn(self, lab: Floats, rate: float) -> None:
        """Move the looks towards `lab`, of the same size."""
        self.lab = (1 - rate) * self.lab + rate * lab
        self._shape = ()

    def resized(self, factor: float) -> Appearance:
        """The same looks at another size."""
        size = (max(2, round(self.size[0] * factor)), max(2, round(self.size[1] * factor)))
        if size == self.size:
            return self
        lab = cv2.resize(self.lab, size, interpolation=cv2.INTER_LINEAR)
        mask = cv2.resize(self.weight, size, interpolation=cv2.INTER_LINEAR) >= 0.5
        return Appearance(np.asarray(lab, np.float32), np.asarray(mask, np.bool_))
