"""Generated scenes: a high-resolution original of coloured shapes and labels with text.

A scene is data (`Scene`), drawn at any scale (`render.py`). Layout is in pixels of the original; the policy sees a view
of 168 x 168 pixels in which a label's text cannot be read. Everything follows from `(split, seed)`.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from builder.nano.palette import COLOURS, SHAPES, Rgb
from builder.nano.words import Split, label_text

VIEW = 168
GAP = 13.0
"""Least distance between two objects, in view pixels."""

# Photographs (scikit-image) behind the scenes; the two sets are disjoint.
PHOTOS: dict[Split, tuple[str, ...]] = {
    "train": (
        *("astronaut", "coffee", "immunohistochemistry", "brick", "gravel", "camera", "moon", "coins", "retina"),
        *("hubble_deep_field", "cell", "clock", "colorwheel", "text"),
    ),
    "held_out": ("chelsea", "rocket", "grass", "stereo_motorcycle"),
}


@dataclass(frozen=True)
class Thing:
    """A shape or a label. `box` is `[x1, y1, x2, y2]` in pixels of the original, half-open."""

    kind: str
    colour: str
    rgb: Rgb
    box: tuple[int, int, int, int]
    angle: float = 0.0
    text: str = ""
    ink: Rgb = (0, 0, 0)
    style: int = 0

    def view_box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The box in view pixels of an original of `size` (width, height)."""
        sx, sy = VIEW / size[0], VIEW / size[1]
        x1, y1, x2, y2 = self.box
        return (x1 * sx, y1 * sy, x2 * sx, y2 * sy)


@dataclass(frozen=True)
class Motion:
    """What makes a clip of a scene: the thing `mover` goes `step` pixels of the original a frame.

    By the last frame it has left through `side`.
    """

    mover: int
    step: tuple[float, float]
    frames: int
    side: str


@dataclass(frozen=True)
class Scene:
    """An original of `size` (width, height), its background and its things; a clip where there is motion."""

    split: Split
    seed: int
    size: tuple[int, int]
    background: Rgb | None
    photo: str | None
    things: tuple[Thing, ...] = field(default_factory=tuple)
    motion: Motion | None = None

    @property
    def labels(self) -> list[Thing]:
        """Things with text."""
        return [t for t in self.things if t.kind == "label"]

    @property
    def shapes(self) -> list[Thing]:
        """Things without."""
        return [t for t in self.things if t.kind != "label"]


def jitter(rng: random.Random, rgb: Rgb, amount: int = 10) -> Rgb:
    """A colour near `rgb`."""
    r, g, b = (min(255, max(0, c + rng.randint(-amount, amount))) for c in rgb)
    return (r, g, b)


def _distance(a: Rgb, b: Rgb) -> float:
    return math.dist(a, b)


def _background(rng: random.Random) -> Rgb:
    grey = rng.randint(60, 215)
    return jitter(rng, (grey, grey, grey), 25)


def _free(box: tuple[int, int, int, int], size: tuple[int, int], others: list[Thing]) -> bool:
    gx, gy = GAP * size[0] / VIEW, GAP * size[1] / VIEW
    x1, y1, x2, y2 = box
    return all(x2 + gx <= t.box[0] or t.box[2] + gx <= x1 or y2 + gy <= t.box[1] or t.box[3] + gy <= y1 for t in others)


def place(
    rng: random.Random, w: int, h: int, size: tuple[int, int], others: list[Thing]
) -> tuple[int, int, int, int] | None:
    """A free place for a box of `w` x `h`, or none."""
    margin = int(0.02 * min(size))
    if w + 2 * margin >= size[0] or h + 2 * margin >= size[1]:
        return None
    for _ in range(40):
        x = rng.randint(margin, size[0] - w - margin)
        y = rng.randint(margin, size[1] - h - margin)
        box = (x, y, x + w, y + h)
        if _free(box, size, others):
            return box
    return None


def colour_of(rng: random.Random, taken: set[str], background: Rgb | None) -> tuple[str, Rgb]:
    """A colour that is not taken and stands out from the background: its name, and a value near it."""
    while True:
        name = rng.choice([c for c in COLOURS if c not in taken])
        if background is None or _distance(COLOURS[name], background) > 75:
            return name, jitter(rng, COLOURS[name])


def label(rng: random.Random, scene: Scene, things: list[Thing], taken: set[str]) -> Thing | None:
    """A label with text, of a colour that is not taken (it is afterwards), or none where there is no room."""
    text = label_text(rng, scene.split)
    unit = min(scene.size)
    h = int(unit * rng.uniform(0.11, 0.19))
    w = int(h * (0.62 * len(text) * rng.uniform(0.9, 1.2) + 0.7))
    box = place(rng, min(w, int(0.62 * scene.size[0])), h, scene.size, things)
    if box is None:
        return None
    colour, rgb = colour_of(rng, taken, scene.background)
    luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
    ink: Rgb = (15, 15, 15) if luma > 120 else (250, 250, 250)
    taken.add(colour)
    return Thing("label", colour, rgb, box, text=text, ink=ink, style=rng.randrange(6))


def rim(rng: random.Random, scene: Scene) -> int:
    """The style of a shape. On a photograph it has a rim, or nobody could tell it from what lies behind it."""
    return rng.randrange(2) if scene.photo is None else rng.choice((2, 3))


def _shape(rng: random.Random, scene: Scene, things: list[Thing]) -> Thing | None:
    kinds = [s for s in SHAPES if s not in {t.kind for t in things}]
    kind = rng.choice(kinds)
    side = int(min(scene.size) * rng.uniform(0.15, 0.3))
    box = place(rng, side, side, scene.size, things)
    if box is None:
        return None
    colour, rgb = colour_of(rng, set(), scene.background)
    angle = 0.0 if kind == "diamond" else rng.uniform(-12, 12)
    return Thing(kind, colour, rgb, box, angle=angle, style=rim(rng, scene))


def background_of(rng: random.Random, split: Split, seed: int, size: tuple[int, int] | None = None) -> Scene:
    """An empty scene: a photograph or a plain background, of `size` or of a random one."""
    size = size or (rng.choice((720, 840, 960, 1120)), rng.choice((720, 840, 960, 1120)))
    photo = rng.choice(PHOTOS[split]) if rng.random() < 0.5 else None
    return Scene(split, seed, size, None if photo else _background(rng), photo)


def make_scene(split: Split, seed: int) -> Scene:
    """The scene of `(split, seed)`: one to three labels and one to three shapes, no two alike in what is asked."""
    rng = random.Random(f"{split}/{seed}")
    scene = background_of(rng, split, seed)
    things: list[Thing] = []
    taken: set[str] = set()
    wanted = ["label"] * rng.choice((1, 2, 2, 3)) + ["shape"] * rng.choice((1, 2, 2, 3))
    for i, want in enumerate(wanted):
        made = label(rng, scene, things, taken) if want == "label" else _shape(rng, scene, things)
        if made is not None:
            things.append(made)
        elif i == 0:
            raise AssertionError(f"scene {split}/{seed}: an empty canvas has no room for a label of size {scene.size}")
    if not any(t.kind != "label" for t in things):
        # No room was left: start over without the last label rather than ask about nothing.
        return make_scene(split, seed + 1_000_000_007)
    return Scene(split, seed, scene.size, scene.background, scene.photo, tuple(things))
