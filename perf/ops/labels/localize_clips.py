"""Clips of several shots, made by a seed, in which something is shown for a while, with the frames in which it is.

A shot is a photograph with a thing that moves over it, still or panned, or a piece of a real clip where there are any.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from perf.ops.labels.real_clips import frames_of
from perf.ops.labels.things import PHOTOS, Box, Pose, Thing, bounds, compressed, corners, draw, thing
from perf.ops.labels.track_clips import HEIGHT, WIDTH, track_clip
from python_backends.images import Pixels

KINDS = ("still", "moving", "grows", "turns", "returns")
ONE_SHOT = ("carphone", "bigbuckbunny")
"""Real clips that are one shot; `bikes` has cuts of its own."""
SHORTEST, LONGEST = 6, 14
"""Frames of a shot."""
WORDS = (
    "Platform 3|Kitchen|Exit|Open now|Total 18.50|Room 204|No parking|Ticket office|Main street|Sold out|Harbour view|"
    "Gate B12|Fresh bread|Library|Way out|Museum"
).split("|")
INKS = (((250, 250, 250), (20, 20, 60)), ((20, 30, 40), (245, 240, 210)), ((250, 220, 60), (30, 30, 30)))
"""Ground and letters of signs."""


@dataclass(frozen=True)
class ShotClip:
    """Shots one after the other.

    Attributes:
        frames: `[HEIGHT, WIDTH, 3]` RGB, 64 at most.
        cuts: first frames of all shots but the first.
    """

    frames: list[Pixels]
    cuts: list[int]


@dataclass(frozen=True)
class Shown:
    """A clip with something to be looked for.

    Attributes:
        frames: of the clip.
        spans: `[start, end)` in which it is shown.
        query: as TEMPORAL_LOCALIZE takes it.
        kind: `words` or `example`; `cut` where it is shown for whole shots, `inside` where it comes and goes within.
    """

    frames: list[Pixels]
    spans: list[tuple[int, int]]
    query: str | dict[str, object]
    kind: str


def shot_clip(seed: int) -> ShotClip:
    """Three to five shots."""
    rng = np.random.default_rng((seed, 1))
    frames: list[Pixels] = []
    cuts: list[int] = []
    for i in range(int(rng.integers(3, 6))):
        shot = _shot(rng, int(rng.integers(SHORTEST, LONGEST)))
        frames, cuts = frames + shot, cuts + ([len(frames)] if i else [])
    return ShotClip(frames[:64], [cut for cut in cuts if cut < 64])


def shown_clip(seed: int) -> Shown:
    """Words on a sign in even seeds, a thing in odd ones; for whole shots in every other pair, else within."""
    rng = np.random.default_rng((seed, 2))
    clip = shot_clip(seed)
    edges = [0, *clip.cuts, len(clip.frames)]
    shots = [(a, b) for a, b in pairwise(edges) if b - a >= SHORTEST]
    inside = seed % 4 >= 2
    chosen = sorted(rng.permutation(len(shots))[: int(rng.integers(1, 3))])
    spans = [_within(rng, shots[i]) if inside else shots[i] for i in chosen]
    way = "inside" if inside else "cut"
    frames = [frame.copy() for frame in clip.frames]
    if seed % 2 == 0:
        words = [str(word) for word in rng.permutation(WORDS)]
        for i, shot in enumerate(shots):
            span = next((span for span in spans if shot[0] <= span[0] < shot[1]), None)
            if span is not None or rng.random() < 0.5:
                _sign(rng, frames, span or shot, words[0] if span else words[1 + i])
        return Shown([compressed(frame) for frame in frames], _joined(spans), words[0].upper(), f"words {way}")
    boxes = _things(rng, frames, spans)
    at = spans[0][0] + 1
    x1, y1, x2, y2 = boxes[at]
    query: dict[str, object] = {"bbox": [x1, y1, x2, y2], "frame": at}
    return Shown([compressed(frame) for frame in frames], _joined(spans), query, f"example {way}")


def _shot(rng: np.random.Generator, count: int) -> list[Pixels]:
    if rng.random() < 0.3:
        real = frames_of(str(rng.choice(ONE_SHOT)))
        if real:
            at = int(rng.integers(0, len(real) - count))
            return [_fitted(frame) for frame in real[at : at + count]]
    made = track_clip(int(rng.integers(1 << 30)), str(rng.choice(KINDS))).frames
    return made[:count]


def _fitted(frame: Pixels) -> Pixels:
    return np.asarray(cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _within(rng: np.random.Generator, shot: tuple[int, int]) -> tuple[int, int]:
    """A part of a shot, of three frames or more, that leaves out one at least on one side."""
    start, end = shot
    a = int(rng.integers(start, end - 3))
    return a, int(rng.integers(a + 3, end if a == start else end + 1))


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that touch are one."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined


def _sign(rng: np.random.Generator, frames: list[Pixels], span: tuple[int, int], words: str) -> None:
    font = ImageFont.load_default(int(rng.integers(20, 45)))
    ground, letters = INKS[int(rng.integers(len(INKS)))]
    left, top, right, bottom = (round(v) for v in font.getbbox(words))
    size = right - left + 24, bottom - top + 20
    image = Image.new("RGB", size, ground)
    ImageDraw.Draw(image).text((12 - left, 10 - top), words, fill=letters, font=font)
    sign = np.asarray(image, np.uint8)
    x, y = (int(rng.integers(4, limit - side - 4)) for limit, side in zip((WIDTH, HEIGHT), size, strict=True))
    for i in range(*span):
        frames[i][y : y + size[1], x : x + size[0]] = sign


def _things(rng: np.random.Generator, frames: list[Pixels], spans: list[tuple[int, int]]) -> dict[int, Box]:
    """Draw one thing into the frames of all spans, on a way of its own in each; its boxes by frame."""
    looked: Thing = thing(rng, [str(name) for name in rng.permutation(PHOTOS)])
    size = rng.uniform(80, 140, 2)
    boxes: dict[int, Box] = {}
    for span in spans:
        start, end = (rng.uniform(size / 2, np.array([WIDTH, HEIGHT]) - size / 2) for _ in range(2))
        step = (end - start) / 20
        for i in range(*span):
            x, y = start + step * (i - span[0])
            pose = Pose((float(x), float(y)), (float(size[0]), float(size[1])))
            draw(frames[i], looked, pose)
            boxes[i] = bounds(corners(looked, pose))
    return boxes
