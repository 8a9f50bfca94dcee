"""Episodes: a question about a scene, the calls that lead to its answer, and the answer, as tokens to learn from.

The text is made by the same functions that serve (`python_backends/policy/conversation.py`).
"""

from __future__ import annotations

import math
import random
import string
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.nano import tokenizer as nano_tokenizer
from builder.nano.palette import COLOURS, SHAPES
from builder.nano.render import Pixels, render
from builder.nano.scenes import VIEW, Scene, Thing, make_scene
from builder.nano.words import Split
from python_backends.policy import conversation
from python_backends.policy.profile import Profile

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Family = Literal["label", "colour"]
FAMILIES: tuple[Family, ...] = ("label", "colour")
Ints = NDArray[np.int64]

QUESTIONS: dict[Family, tuple[str, ...]] = {
    "label": (
        "What is written on the {} label?", "Read the {} label.", "What does the {} label say?",
        "Which text is on the {} label?", "What text is on the {} label?",
    ),
    "colour": (
        "What colour is the {}?", "What color is the {}?", "Which colour does the {} have?",
        "Tell me the colour of the {}.", "Name the color of the {}.",
    ),
}  # fmt: skip

_SIDE = VIEW // 28
_DRAWN = 3 * VIEW
"""Training draws at three times the view, not at full size: the view is the same but for a little blur."""


@dataclass(frozen=True)
class Question:
    """A question about a scene and its right answer."""

    family: Family
    text: str
    answer: str
    thing: Thing
    scene: Scene


def ask(scene: Scene, family: Family) -> Question:
    """The question of `family` that goes with the scene's seed."""
    rng = random.Random(f"{scene.split}/{scene.seed}/{family}")
    template = rng.choice(QUESTIONS[family])
    if family == "label":
        thing = rng.choice(scene.labels)
        return Question(family, template.format(thing.colour), thing.text, thing, scene)
    thing = rng.choice(scene.shapes)
    return Question(family, template.format(thing.kind), thing.colour, thing, scene)


def _bins(box: tuple[float, float, float, float], margin: float) -> list[int]:
    """A box in view pixels as coordinate bins: outwards with a margin, or to the nearest bin without."""
    bin_ = nano_tokenizer.BIN
    if margin:
        low = [math.floor((v - margin) / bin_) for v in box[:2]]
        high = [math.ceil((v + margin) / bin_) for v in box[2:]]
    else:
        low, high = [round(v / bin_) for v in box[:2]], [round(v / bin_) for v in box[2:]]
    top = VIEW // bin_
    return [min(max(v, 0), top) * bin_ for v in (*low, *high)]


def target_box(thing: Thing, size: tuple[int, int]) -> list[int]:
    """What the policy should write for a thing: a label with a margin, so that one bin of error cuts no text."""
    return _bins(thing.view_box(size), margin=2.0 if thing.kind == "label" else 0.0)


@dataclass
class Episode:
    """Token ids with what is to be learnt, and the views in order of appearance."""

    ids: list[int] = field(default_factory=list)
    learn: list[bool] = field(default_factory=list)
    views: list[Pixels] = field(default_factory=list)
    targets: Ints = field(default_factory=lambda: np.zeros((0, 8), np.int64))
    asked: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Which image tokens of the scene's view cover the asked thing."""
    word: int = 0
    """Position of the word of the question that says which thing is meant."""
    copies: list[tuple[int, int]] = field(default_factory=list)
    """(position that writes a token of the answer, position of that token in what was read)."""

    def add(self, tokenizer: Tokenizer, text: str, learn: bool) -> None:
        """Append `text`; an image in it becomes as many tokens as a view has."""
        pad = tokenizer.token_to_id("<|image_pad|>")
        for token in tokenizer.encode(text).ids:
            times = _SIDE * _SIDE if token == pad else 1
            self.ids += [token] * times
            self.learn += [learn] * times


def view_of(picture: Pixels) -> Pixels:
    """The policy's view: `[VIEW, VIEW, 3]`, by area."""
    return np.asarray(cv2.resize(picture, (VIEW, VIEW), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def crop_view(picture: Pixels, region: list[int]) -> Pixels:
    """The view of a region given in view pixels."""
    h, w = picture.shape[:2]
    x1, x2 = (round(v * w / VIEW) for v in (region[0], region[2]))
    y1, y2 = (round(v * h / VIEW) for v in (region[1], region[3]))
    crop = picture[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    shrink = crop.shape[0] >= VIEW and crop.shape[1] >= VIEW
    mode = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (VIEW, VIEW), interpolation=mode), dtype=np.uint8)


_COVERS = 60.0
"""Square pixels of the view that a thing has of a token's 28 x 28, to count as covered by it."""


def _overlaps(thing: Thing, size: tuple[int, int]) -> NDArray[np.float64]:
    """Square pixels of the view that each image token shares with a thing's box `[36]`."""
    x1, y1, x2, y2 = thing.view_box(size)
    low = np.arange(_SIDE) * 28.0
    wide = np.clip(np.minimum(x2, low + 28) - np.maximum(x1, low), 0, None)
    high = np.clip(np.minimum(y2, low + 28) - np.maximum(y1, low), 0, None)
    return np.asarray(np.outer(high, wide).ravel(), dtype=np.float64)


def _targets(scene: Scene) -> Ints:
    """Of each image token of a view `[36, 8]`: row, column, colour, shape, and the edges of what covers it."""
    colours, shapes = list(COLOURS), list(SHAPES)
    out = np.zeros((_SIDE * _SIDE, 8), np.int64)
    out[:, 4:] = -100
    cells = np.arange(_SIDE * _SIDE)
    out[:, 0], out[:, 1] = cells // _SIDE, cells % _SIDE
    best = np.zeros(_SIDE * _SIDE)
    for thing in scene.things:
        edges = [value // nano_tokenizer.BIN for value in target_box(thing, scene.size)]
        overlaps = _overlaps(thing, scene.size)
        for cell in np.flatnonzero(overlaps > np.maximum(best, _COVERS)):
            best[cell] = overlaps[cell]
            out[cell, 2] = 1 + colours.index(thing.colour)
            out[cell, 3] = 1 + (len(shapes) if thing.kind == "label" else shapes.index(thing.kind))
            out[cell, 4:] = edges
    return out


_READABLE = string.ascii_letters + string.digits + ".,:;!?'()-&%$#+/"


def _other_text(rng: random.Random) -> str:
    """What an OCR may return on other pictures: one to five words of any ASCII."""
    words = ["".join(rng.choice(_READABLE) for _ in range(rng.randint(1, 9))) for _ in range(rng.randint(1, 5))]
    return " ".join(words)


@lru_cache(maxsize=1)
def _tokenizer() -> Tokenizer:
    return nano_tokenizer.build()


def make_episode(question: Question, profile: Profile, *, vary_text: bool = True) -> Episode:
    """The episode that answers `question` right.

    Args:
        question: what is asked.
        profile: the checkpoint's profile.
        vary_text: now and then let READ_TEXT return something else, so that the policy learns to answer what was read.
    """
    tokenizer, episode, scene = _tokenizer(), Episode(), question.scene
    rng = random.Random(f"{scene.split}/{scene.seed}/episode")
    picture = render(scene, (_DRAWN, _DRAWN))
    episode.views.append(view_of(picture))
    episode.targets = _targets(scene)
    shares = _overlaps(question.thing, scene.size)
    episode.asked = shares >= min(_COVERS, shares.max())
    episode.add(tokenizer, conversation.opening(profile, question.text, 1), False)
    meant = question.thing.colour if question.family == "label" else question.thing.kind
    episode.word = max(i for i, token in enumerate(episode.ids) if token == tokenizer.token_to_id(meant))
    region = target_box(question.thing, scene.size)
    if question.family == "label":
        text = _other_text(rng) if vary_text and rng.random() < 0.12 else question.answer
        episode.add(tokenizer, conversation.tool_call("ZOOM_IN", {"region": region}) + conversation.END, True)
        seen = conversation.observation(profile, "ZOOM_IN", {})
        episode.add(tokenizer, conversation.tool_response(seen, 1).removeprefix(conversation.END), False)
        episode.views.append(crop_view(picture, region))
        episode.add(tokenizer, conversation.tool_call("READ_TEXT", {"region": region}) + conversation.END, True)
        seen = conversation.observation(profile, "READ_TEXT", {"text": text})
        answer = text
    else:
        episode.add(tokenizer, conversation.tool_call("GET_PROPERTIES", {"bbox": region}) + conversation.END, True)
        answer = rng.choice(list(COLOURS)) if vary_text and rng.random() < 0.12 else question.answer
        seen = conversation.observation(profile, "GET_PROPERTIES", {"color": {"name": answer}})
    episode.add(tokenizer, conversation.tool_response(seen).removeprefix(conversation.END), False)
    read = len(episode.ids)
    episode.add(tokenizer, answer + conversation.END, True)
    episode.copies = _copies(episode.ids, read)
    return episode


def _copies(ids: list[int], start: int) -> list[tuple[int, int]]:
    """Where the answer `ids[start:-1]` stands last before it; none where it was tokenized in another way there."""
    answer = ids[start:-1]
    for at in range(start - len(answer), -1, -1):
        if ids[at : at + len(answer)] == answer:
            return [(start - 1 + i, at + i) for i in range(len(answer))]
    return []


def positions(ids: list[int], image_token: int) -> Ints:
    """M-RoPE positions `[3, S]`: an image's tokens share their start and count rows and columns."""
    out = np.zeros((3, len(ids)), np.int64)
    at, i = 0, 0
    while i < len(ids):
        if ids[i] != image_token:
            out[:, i] = at
            at, i = at + 1, i + 1
            continue
        cells = np.arange(_SIDE * _SIDE)
        out[:, i : i + len(cells)] = at + np.stack([cells * 0, cells // _SIDE, cells % _SIDE])
        at, i = at + _SIDE, i + len(cells)
    return out


def training_episode(split: Split, seed: int, profile: Profile) -> Episode:
    """Episode number `seed`: families alternate."""
    return make_episode(ask(make_scene(split, seed), FAMILIES[seed % len(FAMILIES)]), profile)
