"""What two prompts may share."""

from __future__ import annotations

import numpy as np
import pytest

from python_backends.policy.content import Content, prompt_content
from python_backends.policy.positions import mrope_positions

IMAGE = 7
IDS = np.array([10, 11, *[IMAGE] * 4, 12, *[IMAGE] * 4, 13, 14])
GRIDS = [(1, 4, 4), (1, 4, 4)]


def _content(ids: np.ndarray = IDS, grids: list[tuple[int, int, int]] | None = None, **visual: np.ndarray) -> Content:
    positions, _ = mrope_positions(ids, grids or GRIDS, IMAGE, 2)
    seen = np.concatenate([visual.get("first", _image(1)), visual.get("second", _image(2))])
    return prompt_content(ids, positions, ids == IMAGE, seen, [4, 4])


def _image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((4, 16)).astype(np.float32)


def _shared(one: Content, other: Content) -> int:
    differs = np.flatnonzero((one != other).any(axis=1))
    return int(differs[0]) if len(differs) else len(one)


def test_the_same_prompt_is_the_same() -> None:
    assert _shared(_content(), _content()) == len(IDS)


@pytest.mark.parametrize(
    ("changed", "shared"),
    [
        ({"first": _image(3)}, 2),
        ({"second": _image(3)}, 7),
        ({"first": _image(1)[::-1]}, 2),
        ({"first": _image(2), "second": _image(1)}, 2),
        ({"ids": np.where(np.arange(len(IDS)) == 6, 99, IDS)}, 6),
        ({"grids": [(1, 2, 8), (1, 4, 4)]}, 4),  # the first two visual tokens have the same place in both
    ],
    ids=["first image", "second image", "rows of an image", "images exchanged", "a word", "a grid"],
)
def test_up_to_the_first_difference(changed: dict[str, np.ndarray], shared: int) -> None:
    other = _content(**changed)  # type: ignore[arg-type]
    assert _shared(_content(), other) == shared


def test_one_number_in_an_image_is_another_image() -> None:
    image = _image(1)
    image[3, 15] = np.nextafter(image[3, 15], np.float32(9))
    assert _shared(_content(), _content(first=image)) == 2


def test_visual_tokens_of_one_image_differ() -> None:
    content = _content(first=np.zeros((4, 16), np.float32))
    assert len(np.unique(content[2:6], axis=0)) == 4
