"""What the nano is asked: six families, each with a scene, the things that count, and the right answer."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from builder.nano.clips import clip_scene
from builder.nano.crowds import counting_scene, sized_scene
from builder.nano.render import outline
from builder.nano.scenes import Scene, Thing, make_scene
from builder.nano.words import Split

Family = Literal["label", "colour", "count", "where", "size", "leaves"]
FAMILIES: tuple[Family, ...] = ("label", "colour", "count", "where", "size", "leaves")

_COLOUR = (
    "What colour is the {}?", "What color is the {}?", "Which colour does the {} have?",
    "Tell me the colour of the {}.", "Name the color of the {}.",
)  # fmt: skip
QUESTIONS: dict[Family, tuple[str, ...]] = {
    "label": (
        "What is written on the {} label?", "Read the {} label.", "What does the {} label say?",
        "Which text is on the {} label?", "What text is on the {} label?",
    ),
    "colour": _COLOUR,
    "count": (
        "How many {} shapes are there?", "How many shapes are {}?", "Count the {} shapes.",
        "How many {} shapes are in the picture?", "How many {} shapes does the image show?",
    ),
    "where": (
        "Where is the {}?", "Find the {}.", "Point at the {}.", "Where in the picture is the {}?", "Show me the {}.",
    ),
    "size": tuple(form.replace("{}", "{} shape") for form in _COLOUR),
    "leaves": (
        "Which side does the {} leave by?", "What side does the {} leave by?", "Which side does the {} go out by?",
        "By which side does the {} leave the picture?", "Which end of the clip does the {} leave by?",
    ),
}  # fmt: skip
SIZES = {"largest": ("largest", "biggest"), "smallest": ("smallest",)}


@dataclass(frozen=True)
class Question:
    """A question about a scene and its right answer.

    Attributes:
        family: what kind of question it is.
        text: the question.
        answer: the right answer; of `where` one right answer among many.
        things: what an episode looks at, in order; none where there is nothing to count.
        word: the word of the question that says which things are meant.
        scene: what it is asked about.
    """

    family: Family
    text: str
    answer: str
    things: tuple[Thing, ...]
    word: str
    scene: Scene

    @property
    def thing(self) -> Thing | None:
        """The first thing that counts, if any."""
        return self.things[0] if self.things else None

    def right(self, given: str) -> bool:
        """Whether an answer is right: a point inside the thing, else the same text but for case and spaces."""
        if self.family == "where":
            point = pointed(given)
            return point is not None and inside(self.things[0], point)
        return " ".join(given.split()).casefold() == " ".join(self.answer.split()).casefold()


def pointed(answer: str) -> tuple[float, float] | None:
    """The point of an answer `{"point_2d": [x, y]}`, in pixels of the original; none where it is no such answer."""
    try:
        x, y = json.loads(answer)["point_2d"]
        return float(x), float(y)
    except (ValueError, TypeError, KeyError):
        return None


def inside(thing: Thing, point: tuple[float, float]) -> bool:
    """Whether a point of the original lies on the thing itself, not only in its box."""
    if thing.kind == "label":
        x1, y1, x2, y2 = thing.box
        return x1 <= point[0] < x2 and y1 <= point[1] < y2
    return cv2.pointPolygonTest(outline(thing).astype(np.float32), point, False) >= 0


def scene_for(family: Family, split: Split, seed: int) -> Scene:
    """The scene that a family asks about."""
    if family == "count":
        return counting_scene(split, seed)[0]
    if family == "size":
        return sized_scene(split, seed)
    return clip_scene(split, seed) if family == "leaves" else make_scene(split, seed)


def ask(family: Family, split: Split, seed: int) -> Question:
    """The question of a family that goes with `(split, seed)`."""
    rng = random.Random(f"{split}/{seed}/{family}")
    form = rng.choice(QUESTIONS[family])
    if family == "count":
        scene, colour = counting_scene(split, seed)
        things = [t for t in scene.shapes if t.colour == colour]
        things.sort(key=lambda t: t.view_box(scene.size)[0])
        return Question(family, form.format(colour), str(len(things)), tuple(things), colour, scene)
    scene = scene_for(family, split, seed)
    if family == "size":
        return _size(rng, form, scene)
    if family == "leaves":
        return _leaves(form, scene)
    thing = rng.choice(scene.labels if family == "label" else scene.shapes)
    if family == "where":
        thing = rng.choice(scene.labels) if rng.random() < 0.4 else thing
        word = thing.colour if thing.kind == "label" else thing.kind
        named = f"{word} label" if thing.kind == "label" else word
        return Question(family, form.format(named), point_answer(centre(thing)), (thing,), word, scene)
    word, answer = (thing.colour, thing.text) if family == "label" else (thing.kind, thing.colour)
    return Question(family, form.format(word), answer, (thing,), word, scene)


def _size(rng: random.Random, form: str, scene: Scene) -> Question:
    which = rng.choice(tuple(SIZES))
    word = rng.choice(SIZES[which])
    pick = max if which == "largest" else min
    thing = pick(scene.shapes, key=lambda t: t.box[2] - t.box[0])
    return Question("size", form.format(word), thing.colour, (thing,), word, scene)


def _leaves(form: str, scene: Scene) -> Question:
    if scene.motion is None:
        raise AssertionError("a clip has motion")
    thing = scene.things[scene.motion.mover]
    return Question("leaves", form.format(thing.kind), scene.motion.side, (thing,), thing.kind, scene)


def centre(thing: Thing) -> tuple[float, float]:
    """The middle of a thing's box, in pixels of the original."""
    x1, y1, x2, y2 = thing.box
    return (x1 + x2) / 2, (y1 + y2) / 2


def point_answer(point: tuple[float, float]) -> str:
    """An answer that is a point, in Qwen's form for grounding."""
    return json.dumps({"point_2d": [round(v) for v in point]})
