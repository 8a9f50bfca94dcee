"""Run lengths: COCO's text, and masks as operations and as clients read them."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st
from pydantic import ValidationError

from clients import masks
from pixelis.errors import InvalidOperation
from pixelis.rle import pack, unpack
from python_backends.visual_ops import rle
from python_backends.visual_ops.arguments import Rle
from tests.fuzz.odd import VALUES, damaged, how_often, odd, randoms
from tests.fuzz.run import Fuzz, parsed

_PIECES = (b"0", b"P", b"o", b"n", b"p", b"/", b"\xc3\xa9", b"", b"P" * 9, b"1" * 50)


def text(rng: Random, counts: list[int]) -> str:
    packed = pack(counts).encode()
    return damaged(rng, packed, rng.choice((0, 0, 1, 2)), _PIECES).decode(errors="surrogateescape")


def test_coco_text(fuzz: Fuzz) -> None:
    def holds(said: str) -> bool:
        counts = parsed(lambda: unpack(said), InvalidOperation)
        if counts is None:
            return False
        assert unpack(pack(counts)) == counts or max(map(abs, counts)) >= 2**33
        return True

    lengths = st.lists(st.integers(0, 2**31), max_size=9)
    coded = st.one_of(st.builds(text, randoms(), lengths), st.text(max_size=9), st.text("0123[PQno", max_size=20))
    fuzz.given(coded, holds)


def test_run_lengths_come_back(fuzz: Fuzz) -> None:
    def holds(counts: list[int]) -> bool:
        assert unpack(pack(counts)) == counts
        return True

    fuzz.given(st.lists(st.integers(0, 2**32), max_size=12), holds, share=(1, 1))


def mask(rng: Random) -> tuple[Any, tuple[int, int]]:
    """A mask as it is said, and the size (width, height) of its picture."""
    size = rng.choice((1, 2, 5, 30)), rng.choice((1, 2, 7, 30))
    drawn = np.frombuffer(rng.randbytes(size[0] * size[1]), np.uint8).reshape(size[1], size[0]) > rng.choice(
        (0, 128, 255)
    )
    said: dict[str, Any] = dict(rle.encode(drawn))
    if rng.random() < 0.4:
        said["counts"] = unpack(str(said["counts"]))
    for _ in range(rng.choice((0, 0, 1, 2))):
        way = rng.randrange(5)
        if way == 0:
            said[rng.choice(("size", "counts", "more"))] = odd(rng)
        elif way == 1:
            said.pop(rng.choice(("size", "counts")), None)
        elif way == 2:
            said["size"] = [rng.choice((1, size[0], 2**31 - 1, 0)), size[1]]
        elif isinstance(said.get("counts"), str):
            said["counts"] = damaged(rng, said["counts"].encode(errors="replace"), how_often(rng), _PIECES).decode(
                errors="replace"
            )
        elif isinstance(said.get("counts"), list) and said["counts"]:
            said["counts"][rng.randrange(len(said["counts"]))] = rng.choice(VALUES)
    return said, size


def test_masks(fuzz: Fuzz) -> None:
    def read(said: Any, size: tuple[int, int]) -> rle.Mask | None:
        try:
            found = Rle.model_validate(said)
        except ValidationError:
            return None
        return parsed(lambda: rle.decode(found, size), InvalidOperation)

    def holds(case: tuple[Any, tuple[int, int]]) -> bool:
        said, size = case
        made, shown = read(said, size), masks.decode(said, size)
        if made is None:
            return False
        assert shown is not None
        np.testing.assert_array_equal(made, shown)
        assert made.shape == (size[1], size[0])
        assert made.dtype == np.bool_
        np.testing.assert_array_equal(rle.decode(Rle.model_validate(rle.encode(made)), size), made)
        return True

    fuzz.loop(mask, holds)
