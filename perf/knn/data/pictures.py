"""Pictures to cut vectors out of: photographs that come with scikit-image, and frames of generated clips."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from builder.nano.palette import COLOURS, SHAPES
from builder.nano.questions import QUESTIONS, ask
from builder.nano.render import photograph, render
from builder.nano.scenes import PHOTOS
from builder.nano.words import Split as Side

Pixels = NDArray[np.uint8]
CLIPS = 25
LEAST = 0.15
"""Least side of a crop, as a share of the picture's shorter side."""


def pictures(side: Side) -> list[Pixels]:
    """Photographs of one side; of `train` frames of clips too. The two sides have no picture in common."""
    made = [photograph(name) for name in PHOTOS[side]]
    if side == "train":
        for seed in range(CLIPS):
            scene = ask("leaves", side, seed).scene
            frames = scene.motion.frames if scene.motion is not None else 1
            made += [render(scene, frame=frame) for frame in range(frames)]
    return made


def crops(side: Side, count: int, seed: int) -> Iterator[Pixels]:
    """`count` square crops, three out of four of photographs, mirrored half of the time."""
    found, rng = pictures(side), np.random.default_rng([seed, 5])
    photos = len(PHOTOS[side])
    for _ in range(count):
        of_photos = len(found) == photos or rng.random() < 0.75
        picture = found[rng.integers(photos) if of_photos else rng.integers(photos, len(found))]
        short = min(picture.shape[:2])
        size = max(int(short * rng.uniform(LEAST, 1.0)), 8)
        y, x = rng.integers(picture.shape[0] - size + 1), rng.integers(picture.shape[1] - size + 1)
        cut = picture[y : y + size, x : x + size]
        yield cut[:, ::-1] if rng.random() < 0.5 else cut


def questions() -> list[str]:
    """Every question that the nano's families can ask, in the order of the families."""
    words = {
        "label": list(COLOURS), "colour": list(SHAPES), "count": list(COLOURS), "size": ["largest", "smallest"],
        "where": [*SHAPES, *(f"{colour} label" for colour in COLOURS)], "leaves": list(SHAPES),
    }  # fmt: skip
    made = [form.format(word) for family, forms in QUESTIONS.items() for form in forms for word in words[family]]
    return list(dict.fromkeys(made))
