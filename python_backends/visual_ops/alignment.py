"""Where exactly an object is, by its looks: Lucas-Kanade alignment (Baker and Matthews, IJCV 2004), robustly.

Place, size and angle are changed until the object's pixels are as they were; a pixel that is far from what it was, for
instance because something is in front of it, has little to say (weights of Geman and McClure).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from python_backends.visual_ops.appearance import Appearance, Floats

UNLIKE = 144.0
"""Squared distance in Lab at which a pixel has a quarter of its weight."""
ROUNDS = 8
SETTLED = 0.03
"""Pixels under which a round has changed nothing."""
LEAST_TEXTURE = 4.0
"""Root mean square of the gradients, in Lab a pixel, under which there is nothing to hold on to."""
STIFF = np.array([1e-3, 1e-3, 1.0, 1e3], np.float32)
"""How much each change costs by itself; what a circle does not tell, its angle, stays."""
SWELLS, TURNS = 0.08, 0.12
"""Change of size (as a logarithm) and angle (in radians) from where a search begins, at most."""


@dataclass(frozen=True)
class Pose:
    """Where an object is in a picture.

    Attributes:
        centre: (x, y) in pixels.
        factor: its size by that of its looks.
        angle: in radians, clockwise as pictures are seen.
    """

    centre: tuple[float, float]
    factor: float = 1.0
    angle: float = 0.0


class Alignment:
    """What an object's looks change by when it moves.

    Args:
        looks: the object.
    """

    def __init__(self, looks: Appearance) -> None:
        self._looks = looks
        lab = looks.lab
        height, width, depth = lab.shape
        across = cv2.Sobel(lab, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8).reshape(lab.shape)
        down = cv2.Sobel(lab, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8).reshape(lab.shape)
        x = (np.arange(width, dtype=np.float32) - (width - 1) / 2)[None, :, None]
        y = (np.arange(height, dtype=np.float32) - (height - 1) / 2)[:, None, None]
        self._slopes = np.stack([across, down, across * x + down * y, down * x - across * y], -1).reshape(-1, depth, 4)
        strength = ((across**2 + down**2).sum(2) * looks.weight).sum() / max(float(looks.weight.sum()), 1e-6)
        self.textured = math.sqrt(float(strength)) >= LEAST_TEXTURE

    def settle(self, frame: Floats, pose: Pose, rigid: bool = False) -> Pose:
        """The pose near `pose` at which the object looks most as it did.

        Args:
            frame: from `to_lab`.
            pose: where to begin.
            rigid: size and angle stay as they are.
        """
        used = 2 if rigid else 4
        slopes = self._slopes[:, :, :used]
        now = pose
        for _ in range(ROUNDS):
            patch, inside = self._looks.patch(frame, now.centre, now.factor, now.angle)
            off = (patch.reshape(self._looks.lab.shape) - self._looks.lab).reshape(len(slopes), -1)
            weight = (self._looks.weight * inside).ravel()
            weight = weight / (1 + (off**2).sum(1) / UNLIKE) ** 2
            weighted = (slopes * weight[:, None, None]).reshape(-1, used)
            plain = slopes.reshape(-1, used)
            hessian = weighted.T @ plain + np.diag(STIFF[:used])
            step = np.linalg.solve(hessian, weighted.T @ off.reshape(-1))
            moved = _stepped(now, step)
            if abs(math.log(moved.factor / pose.factor)) > SWELLS or abs(moved.angle - pose.angle) > TURNS:
                moved = replace(moved, factor=now.factor, angle=now.angle)
            change = math.dist(moved.centre, now.centre)
            now = moved
            if change < SETTLED:
                break
        return now


def _stepped(pose: Pose, step: NDArray[np.float32]) -> Pose:
    """The pose without a change that was measured in the object's own pixels."""
    dx, dy = float(step[0]), float(step[1])
    grow, turn = (float(step[2]), float(step[3])) if len(step) == 4 else (0.0, 0.0)
    cos, sin = math.cos(pose.angle), math.sin(pose.angle)
    x, y = pose.centre
    moved = x - pose.factor * (cos * dx - sin * dy), y - pose.factor * (sin * dx + cos * dy)
    return Pose(moved, pose.factor / (1 + max(-0.2, min(0.2, grow))), pose.angle - max(-0.2, min(0.2, turn)))
