"""The images of a case: good ones, damaged ones, bombs, and what is no picture at all."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import lru_cache
from random import Random

from PIL import ImageDraw

from perf.fuzz.bombs import BOMBS
from perf.fuzz.damage import DAMAGE
from perf.fuzz.pictures import EXTREME, MOVING, REFUSED, STILL, encoded, scene

Image = tuple[str, bytes]
"""What it is, in words, and its bytes as they are sent."""

VARIANTS = 8
"""Of each bomb and extreme size."""


def images(rng: Random, over_time: bool) -> list[Image]:
    """What a request carries."""
    drawn = rng.random()
    if drawn < 0.01:
        return []
    if drawn < 0.015:
        return [("one of many", encoded(scene(rng).resize((2, 2)), "PNG"))] * rng.choice((65, 200))
    if over_time and drawn < 0.6:
        return _clip(rng)
    return [_one(rng) for _ in range(rng.choice((1, 1, 1, 1, 2, 3)))]


def _one(rng: Random) -> Image:
    drawn = rng.random()
    if drawn < 0.62:
        return _of(STILL, rng)
    if drawn < 0.69:
        return _of(MOVING, rng)
    if drawn < 0.73:
        return _of(REFUSED, rng)
    if drawn < 0.75:
        return _made_once(BOMBS, rng)
    if drawn < 0.765:
        return _made_once(EXTREME, rng)
    if drawn < 0.79:
        return _url(rng)
    kind, data = _of({**STILL, **MOVING}, rng)
    way = rng.choice(list(DAMAGE))
    return f"{kind} {way}", DAMAGE[way](data, rng)


def _of(kinds: dict[str, Callable[[Random], bytes]], rng: Random) -> Image:
    kind = rng.choice(list(kinds))
    return kind, kinds[kind](rng)


def _made_once(kinds: dict[str, Callable[[Random], bytes]], rng: Random) -> Image:
    """One of a few, which are kept: they take long to make."""
    kind, variant = rng.choice(list(kinds)), rng.randrange(VARIANTS)
    return f"{kind} {variant}", _kept(kind, variant)


@lru_cache(maxsize=VARIANTS * len(BOMBS | EXTREME))
def _kept(kind: str, variant: int) -> bytes:
    return (BOMBS | EXTREME)[kind](Random(variant))


def _url(rng: Random) -> Image:
    _, data = _of(STILL, rng)
    body = base64.b64encode(data)
    return "url", rng.choice(
        (
            b"data:image/png;base64," + body,
            b"DATA:image/x;base64," + body,
            b"data:image/png;base64," + body[:-3],
            b"data:text/plain," + data,
            b"data:,",
            b"http://127.0.0.1:1/picture.png",
            b"file:///etc/hostname",
        )
    )


def _clip(rng: Random) -> list[Image]:
    """2-6 frames of one size in which something moves; at times one of another size, or damaged."""
    first = scene(rng)
    frames = []
    for i in range(rng.randrange(2, 7)):
        frame = first.copy()
        ImageDraw.Draw(frame).rectangle((10 + 6 * i, 10, 40 + 6 * i, 40), fill="red", outline="blue")
        frames.append((f"frame {i}", encoded(frame, rng.choice(("PNG", "JPEG", "WEBP")))))
    if rng.random() < 0.2:
        frames[rng.randrange(len(frames))] = _one(rng)
    return frames
