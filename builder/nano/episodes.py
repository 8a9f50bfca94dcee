"""Episodes: a question about a scene, the calls that lead to its answer, and the answer, as tokens to learn from.

The text is made by the same functions that serve (`python_backends/policy/conversation.py`).
"""

from __future__ import annotations

import json
import math
import random
import string
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.nano import tokenizer as nano_tokenizer
from builder.nano.clips import SIDES
from builder.nano.palette import COLOURS, SHAPES
from builder.nano.questions import Family, Question, ask
from builder.nano.render import Pixels, render
from builder.nano.scenes import VIEW, Scene, Thing
from builder.nano.words import Split
from python_backends.policy import conversation
from python_backends.policy.profile import Profile

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ints = NDArray[np.int64]

_SIDE = VIEW // 28
_DRAWN = 3 * VIEW
"""Training draws at three times the view, not at full size: the view is the same but for a little blur."""


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


@dataclass(frozen=True)
class Look:
    """A place of an episode that has to know which thing is meant.

    Attributes:
        at: position in the tokens; it writes the next one.
        first: whether the thing is chosen here; later coordinates only have to stay with it.
        cells: image tokens of the scene's view that cover the thing `[36]`.
        after: where counting had come to, as the bin of the last left edge plus one; 0 at its start; -100 elsewhere.
    """

    at: int
    first: bool
    cells: NDArray[np.bool_]
    after: int = -100


@dataclass
class Episode:
    """Token ids with what is to be learnt, and the views in order of appearance."""

    ids: list[int] = field(default_factory=list)
    learn: list[bool] = field(default_factory=list)
    family: Family = "label"
    views: list[Pixels] = field(default_factory=list)
    targets: Ints = field(default_factory=lambda: np.zeros((0, 8), np.int64))
    looks: list[Look] = field(default_factory=list)
    word: int = 0
    """Position of the word of the question that says which thing is meant."""
    decisions: list[tuple[int, int]] = field(default_factory=list)
    """(position that decides whether counting goes on, how many there are still to count)."""
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


def cells_of(thing: Thing, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Image tokens of a view that cover a thing `[36]`."""
    shares = _overlaps(thing, size)
    return np.asarray(shares >= min(_COVERS, shares.max()), dtype=np.bool_)


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


ERRORS = (
    "Region [{}, {}, {}, {}] is outside image bounds ({}x{}).", "Point ({}, {}) is outside image bounds ({}x{}).",
    "`region` is empty: [{}, {}, {}, {}].", "`bbox` is empty: [{}, {}, {}, {}].", "There is no text in the region.",
    "ocr_detect is not available.", "The tool call is not JSON.", "Nothing was found at ({}, {}).",
)  # fmt: skip
"""What a failing call may be answered with in training."""

_READABLE = string.ascii_letters + string.digits + ".,:;!?'()-&%$#+/"


def _other_text(rng: random.Random) -> str:
    """What an OCR may return on other pictures: one to five words of any ASCII."""
    words = ["".join(rng.choice(_READABLE) for _ in range(rng.randint(1, 9))) for _ in range(rng.randint(1, 5))]
    return " ".join(words)


@lru_cache(maxsize=1)
def _tokenizer() -> Tokenizer:
    return nano_tokenizer.build()


@lru_cache(maxsize=1)
def _bin_ids() -> frozenset[int]:
    ids = nano_tokenizer.vocabulary()
    return frozenset(ids.index(str(b)) for b in nano_tokenizer.BINS)


def make_episode(question: Question, profile: Profile, *, vary: bool = True) -> Episode:
    """The episode that answers `question` right.

    Args:
        question: what is asked.
        profile: the checkpoint's profile.
        vary: now and then let an operation find something else, so that the policy learns to answer what was found,
            or let a first call fail, so that it learns to go on.
    """
    return _Writer(question, profile, vary).write()


class _Writer:
    """Writes one episode."""

    def __init__(self, question: Question, profile: Profile, vary: bool) -> None:
        self.question, self.scene, self.profile, self.vary = question, question.scene, profile, vary
        self.rng = random.Random(f"{self.scene.split}/{self.scene.seed}/episode")
        self.tokenizer, self.episode = _tokenizer(), Episode(family=question.family)
        self.picture = render(self.scene, (_DRAWN, _DRAWN))

    def write(self) -> Episode:
        episode, question = self.episode, self.question
        episode.views.append(view_of(self.picture))
        episode.targets = _targets(self.scene)
        self._add(conversation.opening(self.profile, question.text, 1))
        meant = self.tokenizer.token_to_id(question.word)
        episode.word = max(i for i, token in enumerate(episode.ids) if token == meant)
        if self.vary and self.rng.random() < 0.08:
            self._fail()
        answer = {"label": self._read, "count": self._count, "where": self._point, "leaves": self._track}.get(
            question.family, self._look_up
        )()
        start = len(episode.ids)
        self._add(answer + conversation.END, learn=True)
        if question.family != "count":
            episode.copies = _copies(episode.ids, start, _bin_ids() if question.family == "where" else None)
        return episode

    def _add(self, text: str, learn: bool = False) -> None:
        self.episode.add(self.tokenizer, text, learn)

    def _odd(self, share: float = 0.12) -> bool:
        return self.vary and self.rng.random() < share

    def _call(self, name: str, argument: str, value: list[int], thing: Thing | None, after: int = -100) -> None:
        """A call about `thing`; its coordinates look at it. Without a thing it is text only."""
        start = len(self.episode.ids)
        self._add(conversation.tool_call(name, {argument: value}) + conversation.END, learn=True)
        if thing is None:
            return
        ids, cells = self.episode.ids, cells_of(thing, self.scene.size)
        written = [i for i in range(start, len(ids)) if ids[i] in _bin_ids()]
        self.episode.looks += [Look(at - 1, at == written[0], cells, after) for at in written]

    def _found(self, name: str, result: dict[str, Any], images: int = 0) -> None:
        seen = conversation.observation(self.profile, name, result)
        self._add(conversation.tool_response(seen, images).removeprefix(conversation.END))

    def _fail(self) -> None:
        """A call that went wrong; writing it is not to be learnt, going on after it is."""
        name, argument, size = self.rng.choice(
            (("ZOOM_IN", "region", 4), ("GET_PROPERTIES", "bbox", 4), ("SEGMENT_OBJECT_AT", "point", 2))
        )
        value = [self.rng.choice(nano_tokenizer.BINS) for _ in range(size)]
        self._add(conversation.tool_call(name, {argument: value}) + conversation.END)
        told = self.rng.choice(ERRORS).format(*(self.rng.randint(0, 1200) for _ in range(6)))
        seen = conversation.observation(self.profile, name, {}, told)
        self._add(conversation.tool_response(seen).removeprefix(conversation.END))

    def _read(self) -> str:
        thing = self.question.things[0]
        region = target_box(thing, self.scene.size)
        text = _other_text(self.rng) if self._odd() else self.question.answer
        self._call("ZOOM_IN", "region", region, thing)
        self._found("ZOOM_IN", {}, images=1)
        self.episode.views.append(crop_view(self.picture, region))
        self._call("READ_TEXT", "region", region, None)
        self._found("READ_TEXT", {"text": text})
        return text

    def _look_up(self) -> str:
        thing = self.question.things[0]
        self._call("GET_PROPERTIES", "bbox", target_box(thing, self.scene.size), thing)
        colour = self.rng.choice(list(COLOURS)) if self._odd() else self.question.answer
        self._found("GET_PROPERTIES", {"color": {"name": colour}})
        return colour

    def _count(self) -> str:
        after, left = 0, len(self.question.things)
        for thing in self.question.things:
            box, at = target_box(thing, self.scene.size), len(self.episode.ids) - 1
            self.episode.decisions.append((at, left))
            # Whether there is one more is decided where the turn begins.
            self.episode.looks.append(Look(at, True, cells_of(thing, self.scene.size), after))
            self._call("GET_PROPERTIES", "bbox", box, thing, after)
            colour = self.rng.choice(list(COLOURS)) if self._odd(0.04) else thing.colour
            self._found("GET_PROPERTIES", {"color": {"name": colour}})
            after, left = 1 + box[0] // nano_tokenizer.BIN, left - 1
        self.episode.decisions.append((len(self.episode.ids) - 1, 0))
        return self.question.answer

    def _point(self) -> str:
        thing = self.question.things[0]
        x1, y1, x2, y2 = thing.view_box(self.scene.size)
        point = _bins(((x1 + x2) / 2, (y1 + y2) / 2, 0.0, 0.0), margin=0.0)[:2]
        self._call("SEGMENT_OBJECT_AT", "point", point, thing)
        area = (thing.box[2] - thing.box[0]) * (thing.box[3] - thing.box[1])
        self._found("SEGMENT_OBJECT_AT", {"area": int(area * self.rng.uniform(0.3, 1.1))})
        return json.dumps({"point_2d": point})

    def _track(self) -> str:
        thing = self.question.things[0]
        self._call("TRACK_OBJECT", "init_bbox", target_box(thing, self.scene.size), thing)
        side = self.rng.choice(SIDES) if self._odd() else self.question.answer
        self._found("TRACK_OBJECT", {"left_by": side})
        return side


def _copies(ids: list[int], start: int, only: frozenset[int] | None = None) -> list[tuple[int, int]]:
    """Where the answer `ids[start:-1]` stands last before it; none where it was tokenized in another way there.

    With `only`, just the part of the answer from the first to the last of those tokens.
    """
    end = len(ids) - 1
    if only is not None:
        inside = [i for i in range(start, end) if ids[i] in only]
        start, end = inside[0], inside[-1] + 1
    answer = ids[start:end]
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


# Of 32 episodes of each stage of training: two families, then all, then more of what is still hard.
_TURNS: tuple[tuple[Family, ...], ...] = (
    ("label", "colour"),
    (*("label",) * 4, *("colour",) * 6, *("where",) * 5, *("size",) * 5, *("leaves",) * 4, *("count",) * 8),
    (*("label",) * 2, *("colour",) * 7, *("where",) * 3, *("size",) * 6, *("leaves",) * 3, *("count",) * 11),
    (*("label",) * 1, *("colour",) * 4, *("where",) * 4, *("size",) * 5, *("leaves",) * 2, *("count",) * 16),
)


def training_episode(split: Split, seed: int, profile: Profile, stage: int = 1) -> Episode:
    """Episode number `seed` of a stage of training: its families come in turns."""
    turns = _TURNS[stage]
    return make_episode(ask(turns[seed % len(turns)], split, seed), profile)
