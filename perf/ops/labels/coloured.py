"""Generated shapes of every colour that GET_PROPERTIES names. What a colour is called is said here, not there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perf.ops.labels.object_scenes import as_jpeg, lay_shape
from perf.ops.labels.surfaces import Mask
from python_backends.images import Pixels

SHADES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "red": ((220, 20, 30), (200, 0, 0), (178, 34, 34)),
    "orange": ((255, 140, 0), (240, 125, 20), (250, 150, 40)),
    "yellow": ((255, 225, 25), (245, 230, 60), (250, 215, 10)),
    "green": ((0, 150, 60), (50, 180, 50), (34, 110, 40)),
    "cyan": ((0, 220, 230), (70, 210, 225), (30, 190, 200)),
    "blue": ((30, 60, 220), (20, 40, 160), (65, 105, 225)),
    "purple": ((128, 30, 160), (140, 70, 190), (90, 20, 120)),
    "pink": ((255, 150, 200), (255, 105, 180), (250, 175, 200)),
    "brown": ((120, 70, 30), (100, 60, 35), (139, 85, 45)),
    "black": ((10, 10, 10), (30, 28, 30), (0, 0, 0)),
    "white": ((250, 250, 250), (255, 255, 255), (240, 240, 238)),
    "grey": ((120, 120, 122), (150, 150, 150), (95, 95, 97)),
}
"""Three shades of each basic colour term (Berlin and Kay, 1969, and cyan), sRGB, that nobody would call otherwise."""


@dataclass(frozen=True)
class Coloured:
    """A shape of one colour on a ground of another.

    Attributes:
        image: `[height, width, 3]` RGB.
        mask: `[height, width]`, the shape's pixels.
        box: the shape's, `(x1, y1, x2, y2)`, half-open.
        name: of its colour.
    """

    image: Pixels
    mask: Mask
    box: tuple[int, int, int, int]
    name: str


def coloured_shapes(count: int, seed: int) -> list[Coloured]:
    """Shapes whose colours take turns, compressed every other time."""
    names = list(SHADES)
    made = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        name = names[i % len(names)]
        ground = names[(i + int(rng.integers(2, len(names) - 1))) % len(names)]
        front, back = (np.array(SHADES[one][int(rng.integers(3))], np.float32) for one in (name, ground))
        image, mask = lay_shape(front, back, (320, 240), rng)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        made.append(Coloured(as_jpeg(image, 85) if i % 2 else image, mask, box, name))
    return made
