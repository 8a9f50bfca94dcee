"""Encoded pictures and animations: damaged anywhere, and where their sizes and kinds are."""

from __future__ import annotations

from functools import lru_cache, partial
from random import Random

import numpy as np
import pytest

from perf.fuzz.damage import DAMAGE
from perf.fuzz.pictures import MOVING, REFUSED, STILL
from pixelis.errors import InvalidImage, LimitExceeded
from pixelis.settings import Limits
from python_backends.images import decode, size_of
from python_backends.imaging.animation import split
from tests.fuzz.run import Fuzz, parsed

pytestmark = pytest.mark.filterwarnings("ignore")  # of Pillow, at animations that are none
LIMITS = Limits(image_bytes=2**20, image_pixels=2**20, frames=8)
EACH = 6
"""Pictures of every kind."""
_KINDS = STILL | MOVING | REFUSED


@lru_cache(maxsize=len(_KINDS) * EACH)
def good(kind: str, number: int) -> bytes:
    """A picture before it is damaged."""
    return _KINDS[kind](Random(f"{kind} {number}"))


def picture(rng: Random, kinds: list[str]) -> bytes:
    """One of these kinds, mostly damaged."""
    data = good(rng.choice(kinds), rng.randrange(EACH))
    way = rng.choice((*DAMAGE, "none"))
    return DAMAGE[way](data, rng) if data and way != "none" else data


def test_pictures(fuzz: Fuzz) -> None:
    kinds = [*STILL, *STILL, *MOVING, *REFUSED]

    def holds(data: bytes) -> bool:
        size = parsed(lambda: size_of(data, LIMITS), InvalidImage, LimitExceeded)
        pixels = parsed(lambda: decode(data, LIMITS), InvalidImage, LimitExceeded)
        if pixels is None:
            return False
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert (*reversed(size or ()), 3) == pixels.shape
        return True

    fuzz.loop(lambda rng: picture(rng, kinds), holds)


def test_animations(fuzz: Fuzz) -> None:
    def holds(data: bytes) -> bool:
        frames = parsed(lambda: split(data, LIMITS), InvalidImage, LimitExceeded)
        if frames is None:
            return False
        assert 1 <= len(frames) <= LIMITS.frames
        decoded = [parsed(partial(decode, one, LIMITS), InvalidImage, LimitExceeded) for one in frames]
        return all(one is not None for one in decoded)

    fuzz.loop(lambda rng: picture(rng, [*MOVING, "webp", "gif"]), holds)
