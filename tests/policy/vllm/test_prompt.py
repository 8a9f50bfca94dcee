"""Prompts as text, and visual tokens as pictures."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from builder.sources.checkpoint import NANO
from pixelis.errors import InvalidRequest, LimitExceeded, PixelisError
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.vllm.engine import EngineFile
from python_backends.policy.vllm.pictures import Pictures
from python_backends.policy.vllm.pixels import to_picture, to_tokens
from python_backends.policy.vllm.prompt import Prompts
from tests.policy.vllm.support import GRID, artifact, pictures, request


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Prompts:
    folder = artifact(tmp_path_factory.mktemp("policy"))
    return Prompts(folder, CheckpointConfig.load(NANO), EngineFile.load(folder))


def test_one_mark_a_picture_and_the_pictures_bit_by_bit(prompts: Prompts) -> None:
    read = prompts.read(request(2, "Which of the two shows a star?"))
    mark = "<|vision_start|><|image_pad|><|vision_end|>"
    assert read.text == f"<|im_start|>user\n{mark * 2}Which of the two shows a star?<|im_end|>\n<|im_start|>assistant\n"
    assert (read.length, read.recut) == (request(2, "Which of the two shows a star?").prompt_ids.size, False)
    for encoded, view in zip(read.pictures, pictures(2), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))), view)


def test_text_alone(prompts: Prompts) -> None:
    read = prompts.read(request(0))
    assert read.pictures == []
    assert "<|image_pad|>" not in read.text


def test_words_that_were_cut_otherwise_are_noticed(prompts: Prompts) -> None:
    asked = request(1, "What is red?")
    letters = [i for letter in "red" for i in request(0, letter).prompt_ids if i not in request(0, "").prompt_ids]
    ids = np.append(asked.prompt_ids, letters)
    assert prompts.read(replace(asked, prompt_ids=ids)).recut


def spoilt(how: str) -> tuple[object, ...]:
    asked = request(2)
    assert asked.visual is not None
    if how == "fewer tokens":
        return replace(asked, visual=asked.visual[:-1]), InvalidRequest, "VISUAL has shape"
    if how == "no pixels":
        return replace(asked, visual=asked.visual + 0.5), InvalidRequest, "no pixels"
    if how == "too large":
        return replace(asked, visual=asked.visual + 200), InvalidRequest, "no pixels"
    if how == "another grid":
        return replace(asked, grids=np.array([*GRID, 1, 12, 10], np.int32)), InvalidRequest, "image tokens"
    if how == "pairs of frames":
        return replace(asked, grids=np.array([2, 12, 12], np.int32)), InvalidRequest, "frames in pairs"
    if how == "torn apart":
        ids = asked.prompt_ids.copy()
        first = int(np.flatnonzero(ids == 7)[0])
        ids[[first - 1, first + 3]] = ids[[first + 3, first - 1]]
        return replace(asked, prompt_ids=ids), InvalidRequest, "one behind the other"
    if how == "too many":
        return request(4), LimitExceeded, "4 pictures"
    return replace(asked, prompt_ids=np.array([10**6])), InvalidRequest, "the vocabulary has"


@pytest.mark.parametrize(
    "how",
    ["fewer tokens", "no pixels", "too large", "another grid", "pairs of frames", "torn apart", "too many", "ids"],
)
def test_what_is_no_prompt(prompts: Prompts, how: str) -> None:
    wrong, kind, match = spoilt(how)
    with pytest.raises(PixelisError, match=match) as told:  # type: ignore[arg-type]
        prompts.read(wrong)  # type: ignore[arg-type]
    assert type(told.value) is kind


@pytest.mark.parametrize(("width", "height"), [(28, 28), (84, 56), (56, 140)])
def test_there_and_back(width: int, height: int) -> None:
    views = np.random.default_rng(width).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    tokens = to_tokens(views, 28)
    assert tokens.shape == (2, width * height // 784, 2352)
    # A token is its own square: the second of a row begins 28 pixels to the right.
    np.testing.assert_array_equal(tokens[0, min(1, width // 28 - 1)].reshape(28, 28, 3)[0, 0], views[0, 0, 28 % width])
    for view, one in zip(views, tokens, strict=True):
        np.testing.assert_array_equal(to_picture(one, (1, height // 14, width // 14), 14, 2), view)


@pytest.mark.parametrize("shape", [(1, 30, 28, 3), (1, 28, 28, 6)])
def test_views_that_are_none(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest):
        to_tokens(np.zeros(shape, np.uint8), 28)


def test_pictures_are_encoded_once_and_room_is_bounded() -> None:
    one, two = pictures(2)
    size = len(Pictures().encoded(one))
    kept = Pictures(budget=size + 10)
    first = kept.encoded(one)
    assert kept.encoded(one) is first
    kept.encoded(two)
    assert kept.encoded(one) is not first
    assert Pictures(budget=0).encoded(one) == first
    wide = np.zeros((28, 56, 3), np.uint8)
    assert kept.encoded(wide) != kept.encoded(wide.reshape(56, 28, 3))  # the same bytes, another shape
