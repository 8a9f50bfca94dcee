"""Scenes of several shapes: to count those of a colour, and to find the largest or the smallest."""

from __future__ import annotations

import math
import random
from itertools import pairwise

from builder.nano.palette import COLOURS, SHAPES
from builder.nano.scenes import Scene, Thing, background_of, jitter, label, place, rim
from builder.nano.words import Split

MOST = 4
"""Shapes of the asked colour at most."""

_APART = 12.0
"""Least distance of the left edges of two shapes that are counted, in view pixels: they are counted left to right."""

_RATIO = 1.3
"""Least ratio of the sides of the largest shape and the next one, and of the smallest and the next one."""


def _shape(
    rng: random.Random, scene: Scene, things: list[Thing], colour: str, share: float, kind: str | None = None
) -> Thing | None:
    """A shape of `share` of the shorter side, or none where there is no room."""
    side = int(min(scene.size) * share)
    box = place(rng, side, side, scene.size, things)
    if box is None:
        return None
    kind = kind or rng.choice(SHAPES)
    angle = 0.0 if kind == "diamond" else rng.uniform(-12, 12)
    return Thing(kind, colour, jitter(rng, COLOURS[colour]), box, angle=angle, style=rim(rng, scene))


def _palette(rng: random.Random, scene: Scene) -> list[str]:
    """Colours that stand out from the background, in random order."""
    names = [c for c in COLOURS if scene.background is None or math.dist(COLOURS[c], scene.background) > 75]
    rng.shuffle(names)
    return names


def counting_scene(split: Split, seed: int) -> tuple[Scene, str]:
    """A scene and the colour to count: none to four shapes of it, one to three others, perhaps a label."""
    rng = random.Random(f"{split}/{seed}/count")
    while True:
        scene = background_of(rng, split, seed)
        colours = _palette(rng, scene)
        asked, others = colours[0], colours[1:4]
        things: list[Thing] = []
        wanted = rng.choices(range(MOST + 1), (1, 3, 4, 4, 3))[0]
        for colour in [asked] * wanted + [rng.choice(others) for _ in range(rng.choice((1, 1, 2, 3)))]:
            made = _shape(rng, scene, things, colour, rng.uniform(0.15, 0.24))
            if made is not None:
                things.append(made)
        if rng.random() < 0.4:
            made = label(rng, scene, things, {asked})
            things += [made] if made is not None else []
        lefts = sorted(t.view_box(scene.size)[0] for t in things if t.colour == asked)
        apart = all(b - a >= _APART for a, b in pairwise(lefts))
        if len(things) >= 2 and apart and len(lefts) == wanted:
            rng.shuffle(things)
            return Scene(split, seed, scene.size, scene.background, scene.photo, tuple(things)), asked


def sized_scene(split: Split, seed: int) -> Scene:
    """Two to four shapes of clearly different size and of different colours, perhaps a label."""
    rng = random.Random(f"{split}/{seed}/sized")
    while True:
        scene = background_of(rng, split, seed)
        small, large = rng.uniform(0.13, 0.17), rng.uniform(0.27, 0.36)
        middle = [rng.uniform(small * _RATIO, large / _RATIO) for _ in range(rng.choice((0, 1, 1, 2)))]
        things: list[Thing] = []
        # The largest first: it finds room more easily on an empty canvas.
        for colour, share in zip(_palette(rng, scene), [large, *middle, small], strict=False):
            made = _shape(rng, scene, things, colour, share)
            if made is not None:
                things.append(made)
        if len(things) != len(middle) + 2:
            continue
        if rng.random() < 0.4:
            made = label(rng, scene, things, {t.colour for t in things})
            things += [made] if made is not None else []
        rng.shuffle(things)
        return Scene(split, seed, scene.size, scene.background, scene.photo, tuple(things))
