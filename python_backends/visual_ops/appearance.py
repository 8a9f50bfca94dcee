"""Where in a frame something looks like an object: its pixels against every place, also such as are half outside.

The measure is the mean squared distance in CIE Lab over those of the object's pixels that are visible at a place; all
places at once by correlation (`sum w (T - I)^2 = sum w I^2 - 2 sum w T I + sum w T^2`, over the frame's pixels only).
"""

from __future__ import annotations

import math
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

CAP = 400.0
"""Squared distance in Lab from which on a pixel is no more unlike: it is something else."""
ALIKE = 150.0
"""Squared distance in Lab up to which a pixel is the object's."""
LEAST_TRUST = 0.05
"""Weight that a pixel keeps whatever it does."""

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
class Likeness:
    """How an object looks at a place.

    Attributes:
        distance: mean squared distance in Lab over its pixels inside the frame, each `CAP` at most.
        support: share of them that are alike.
        visible: share of the object inside the frame.
    """

    distance: float
    support: float
    visible: float


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
        self._mask = mask.astype(np.float32)
        self._trust = np.ones(mask.shape, np.float32)
        self.weight = self._mask
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

    def search_inside(self, frame: Floats) -> Floats:
        """The measure at every place of the top left corner at which all of the object is inside `frame`."""
        weighted = np.ascontiguousarray(self.lab * self.weight[..., None])
        energy = np.ascontiguousarray((frame * frame).sum(2))
        total = cv2.matchTemplate(energy, self.weight, cv2.TM_CCORR) - 2 * cv2.matchTemplate(
            frame, weighted, cv2.TM_CCORR
        )
        own = float((weighted * self.lab).sum())
        return np.asarray(np.maximum(total + own, 0) / max(float(self.weight.sum()), 1e-3), np.float32)

    def _inside(self, shape: tuple[int, ...], pad: tuple[int, int, int, int]) -> None:
        """What depends on the frame's size alone."""
        ones = cv2.copyMakeBorder(np.ones(shape[:2], np.float32), *pad, cv2.BORDER_CONSTANT, value=0)
        squares = np.ascontiguousarray(self.weight * (self.lab * self.lab).sum(2))
        self._visible = cv2.matchTemplate(ones, self.weight, cv2.TM_CCORR)
        self._squares = cv2.matchTemplate(ones, squares, cv2.TM_CCORR)
        self._shape = shape

    def patch(
        self, frame: Floats, centre: tuple[float, float], factor: float, angle: float = 0.0
    ) -> tuple[Floats, Mask]:
        """What is in `frame` at a centre, of `factor` times the object's size and turned, brought to the object's size.

        Returns:
            `[height, width, 3]`, and which pixels of it are inside the frame.
        """
        width, height = self.size
        cos, sin = factor * math.cos(angle), factor * math.sin(angle)
        x = centre[0] - 0.5 - (cos * (width - 1) - sin * (height - 1)) / 2
        y = centre[1] - 0.5 - (sin * (width - 1) + cos * (height - 1)) / 2
        move = np.array([[cos, -sin, x], [sin, cos, y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch = cv2.warpAffine(frame, move, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        columns, rows = np.arange(width), np.arange(height)[:, None]
        across, down = x + cos * columns - sin * rows, y + sin * columns + cos * rows
        inside = (across > -0.5) & (across < frame.shape[1] - 0.5) & (down > -0.5) & (down < frame.shape[0] - 0.5)
        return np.asarray(patch, np.float32), np.asarray(inside, np.bool_)

    def likeness(self, frame: Floats, centre: tuple[float, float], factor: float, angle: float = 0.0) -> Likeness:
        """How much of the object is to be seen at one place, size and angle, and how unlike it is there."""
        patch, inside = self.patch(frame, centre, factor, angle)
        weight = self.weight * inside
        total, visible = float(self.weight.sum()), float(weight.sum())
        if visible < VISIBLE * total:
            return Likeness(float("inf"), 0.0, visible / total)
        off = ((patch.reshape(self.lab.shape) - self.lab) ** 2).sum(2)
        distance = float((np.minimum(off, CAP) * weight).sum()) / visible
        return Likeness(distance, float(weight[off <= ALIKE].sum()) / visible, visible / total)

    def learn(self, lab: Floats, rate: float) -> None:
        """Move what is alike towards `lab`, of the same size; what is not, again and again, loses its weight."""
        alike = ((lab - self.lab) ** 2).sum(2) <= ALIKE
        self.lab = np.asarray(self.lab + rate * alike[..., None] * (lab - self.lab), np.float32)
        self._trust = np.asarray((1 - rate) * self._trust + rate * alike, np.float32)
        self.weight = self._mask * np.maximum(self._trust, LEAST_TRUST)
        self._shape = ()

    def resized(self, factor: float) -> Appearance:
        """The same looks at another size."""
        size = (max(2, round(self.size[0] * factor)), max(2, round(self.size[1] * factor)))
        if size == self.size:
            return self
        lab = cv2.resize(self.lab, size, interpolation=cv2.INTER_LINEAR)
        weight = cv2.resize(self.weight, size, interpolation=cv2.INTER_LINEAR)
        made = Appearance(np.asarray(lab, np.float32), np.ones(lab.shape[:2], np.bool_))
        made.weight = np.asarray(weight, np.float32)
        return made
