"""Clips: a scene in which one shape goes out of the picture."""

from __future__ import annotations

import random

from builder.nano.palette import SHAPES
from builder.nano.scenes import Motion, Scene, Thing, background_of, colour_of, label, place, rim
from builder.nano.words import Split

SIDES = ("left", "right", "top", "bottom")
FPS = 8.0
"""Frames a second that a clip is said to have."""

_SIZES = (480, 540, 600)


def _shapes(rng: random.Random, scene: Scene) -> list[Thing]:
    """Up to three shapes, no two of a kind or a colour."""
    things: list[Thing] = []
    taken: set[str] = set()
    for kind in rng.sample(SHAPES, rng.choice((1, 2, 2, 3))):
        side = int(min(scene.size) * rng.uniform(0.16, 0.28))
        box = place(rng, side, side, scene.size, things)
        if box is None:
            continue
        colour, rgb = colour_of(rng, taken, scene.background)
        taken.add(colour)
        angle = 0.0 if kind == "diamond" else rng.uniform(-12, 12)
        things.append(Thing(kind, colour, rgb, box, angle=angle, style=rim(rng, scene)))
    return things


def _motion(rng: random.Random, scene: Scene, thing: Thing, mover: int) -> Motion:
    """A straight way out through a side, reached one frame or so before the last one."""
    (w, h), (x1, y1, x2, y2) = scene.size, thing.box
    side = rng.choice(SIDES)
    frames = rng.randint(9, 13)
    far = {"left": x2, "right": w - x1, "top": y2, "bottom": h - y1}[side]
    along = far / (frames - rng.uniform(1.6, 2.6))
    # Sideways it stays in the picture with its whole width until it is out.
    room = (y1, h - y2) if side in ("left", "right") else (x1, w - x2)
    drift = rng.uniform(-0.8 * room[0], 0.8 * room[1]) / frames
    drift = max(-0.4 * along, min(0.4 * along, drift))
    step = {"left": (-along, drift), "right": (along, drift), "top": (drift, -along), "bottom": (drift, along)}[side]
    return Motion(mover, step, frames, side)


def clip_scene(split: Split, seed: int) -> Scene:
    """One to three shapes and perhaps a label; one of the shapes leaves.

    Nothing else moves; colours and kinds of the shapes differ, so that a question by kind has one answer.
    """
    rng = random.Random(f"{split}/{seed}/clip")
    size = (rng.choice(_SIZES), rng.choice(_SIZES))
    scene = background_of(rng, split, seed, size)
    things = _shapes(rng, scene)
    if rng.random() < 0.4:
        made = label(rng, scene, things, {t.colour for t in things})
        things += [made] if made is not None else []
    mover = rng.choice([i for i, t in enumerate(things) if t.kind != "label"])
    motion = _motion(rng, scene, things[mover], mover)
    return Scene(split, seed, size, scene.background, scene.photo, tuple(things), motion)
