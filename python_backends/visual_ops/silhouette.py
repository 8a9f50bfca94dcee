"""Where the outline of an object of one colour is: it has no looks inside by which to tell place and size.

Pixels of the object's colour are held against its shape, the surroundings included, where that colour should end.
"""

from __future__ import annotations

import cv2
import numpy as np

from python_backends.visual_ops.alignment import Alignment, Pose
from python_backends.visual_ops.appearance import Appearance, Floats

UNLIKE = 200.0
"""Squared distance in Lab at which a pixel is of the colour by a quarter."""
HEIGHT = 40.0
"""What a pixel of the colour counts, in the units of Lab that the alignment's robust weights are made for."""
LEARN = 0.3


class Silhouette:
    """An object's shape and its colour.

    Args:
        frame: the first frame, from `to_lab`.
        mask: `[height, width]` of it.
        box: (x1, y1, x2, y2) around the mask.
    """

    def __init__(
        self, frame: Floats, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], box: tuple[int, int, int, int]
    ) -> None:
        self._colour = np.median(frame[mask], axis=0)
        x1, y1, x2, y2 = box
        ring = max(3, round(0.3 * max(x2 - x1, y2 - y1)))
        pad = ((ring, ring), (ring, ring))
        likely = np.pad(self._likely(frame), pad, mode="edge")[y1 : y2 + 2 * ring, x1 : x2 + 2 * ring]
        wide = np.pad(mask.astype(np.float32), pad)[y1 : y2 + 2 * ring, x1 : x2 + 2 * ring]
        near = cv2.dilate(wide, np.ones((3, 3), np.uint8)) > 0  # colours mix at the rim, and the mask may be cut short
        shape = np.where(near, likely, 0).astype(np.float32)
        # What surrounds it in the same colour at first says nothing of where it ends.
        weight = np.where(near, 1, np.clip(1 - likely / HEIGHT, 0, 1)).astype(np.float32)
        looks = Appearance(shape[..., None], np.ones(shape.shape, np.bool_))
        looks.weight = weight
        self._looks, self._alignment = looks, Alignment(looks)

    def settle(self, frame: Floats, pose: Pose, rigid: bool = False) -> Pose:
        """As `Alignment.settle`."""
        return self._alignment.settle(self._likely(frame)[..., None], pose, rigid)

    def support(self, frame: Floats, pose: Pose) -> float:
        """Share of shape and surroundings that are as they should be at a pose."""
        likely = self._likely(frame)[..., None]
        return self._looks.likeness(likely, pose.centre, pose.factor, pose.angle).support

    def learn(self, lab: Floats, weight: Floats) -> None:
        """Move the colour towards that of `lab`, the object as it looks now."""
        seen = np.average(lab.reshape(-1, 3), axis=0, weights=weight.ravel())
        self._colour = (1 - LEARN) * self._colour + LEARN * seen

    def _likely(self, frame: Floats) -> Floats:
        off = ((frame - self._colour) ** 2).sum(2)
        return np.asarray(HEIGHT / (1 + off / UNLIKE) ** 2, np.float32)
