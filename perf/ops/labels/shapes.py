"""Outlines of generated objects: polygons around the origin that fit into a circle of radius 1."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
"""`[corners, 2]`."""

KINDS = ("ellipse", "rectangle", "rounded", "triangle", "hexagon", "star", "plus", "blob", "crescent", "ring")
HOLE = 0.6
"""Radius of a ring's hole: more than what counts as a part of the object (see `regions.HOLE`)."""


def outlines(kind: str, rng: np.random.Generator) -> list[Outline]:
    """What bounds an object of `kind`, at a random angle: one outline, or an outer and an inner one.

    Raises:
        ValueError: no such kind.
    """
    squeeze = rng.uniform(0.55, 1.0)
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([(cos, sin), (-sin, cos)])
    return [outline * (1.0, squeeze) @ turn for outline in _upright(kind, rng)]


def _upright(kind: str, rng: np.random.Generator) -> list[Outline]:
    if kind == "ellipse":
        return [_round(64, 1.0)]
    if kind == "rectangle":
        return [0.98 * _round(4, 1.0, math.pi / 4)]
    if kind == "rounded":
        return [_superellipse(64, 4.0)]
    if kind == "triangle":
        return [_round(3, 1.0)]
    if kind == "hexagon":
        return [_round(6, 1.0)]
    if kind == "star":
        return [_round(10, 1.0) * np.where(np.arange(10) % 2, 0.5, 1.0)[:, None]]
    if kind == "plus":
        arm = 0.36
        quarter = np.array([(0.93, -arm), (0.93, arm), (arm, arm)])
        turns = [np.array([(c, s), (-s, c)]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
        return [np.concatenate([quarter @ turn for turn in turns])]
    if kind == "blob":
        return [_blob(96, rng)]
    if kind == "crescent":
        return [_crescent(48)]
    if kind == "ring":
        return [_round(64, 1.0), _round(64, HOLE)]
    raise ValueError(f"There is no shape {kind!r}.")


def _round(corners: int, radius: float, start: float = 0.0) -> Outline:
    angles = start + 2 * np.pi * np.arange(corners) / corners
    return np.asarray(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), np.float64)


def _superellipse(corners: int, power: float) -> Outline:
    circle = _round(corners, 1.0)
    return np.asarray(0.84 * np.sign(circle) * np.abs(circle) ** (2 / power), np.float64)


def _blob(corners: int, rng: np.random.Generator) -> Outline:
    """A circle whose radius three waves change."""
    angles = 2 * np.pi * np.arange(corners) / corners
    radius = np.ones(corners)
    for waves in (2, 3, 5):
        radius += rng.uniform(0.05, 0.16) * np.cos(waves * angles + rng.uniform(0, 2 * np.pi))
    return np.asarray(_round(corners, 1.0) * (radius / radius.max())[:, None], np.float64)


def _crescent(corners: int) -> Outline:
    """The half of a disc less an ellipse."""
    angles = np.linspace(-0.5 * np.pi, 0.5 * np.pi, corners)
    outer = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    inner = np.stack([0.25 * np.cos(angles[::-1]), np.sin(angles[::-1])], axis=1)
    return np.asarray(np.concatenate([outer, inner]) - (0.4, 0.0), np.float64) / 1.08
