"""Retrieval keys and priorities against the formulas they are defined by."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest
from python_backends.experience.identifier import ulid
from python_backends.experience.key import TEXT_WIDTH, VISUAL_WIDTH, WIDTH, retrieval_key
from python_backends.experience.priority import learning_rate, priority


def side(width: int, seed: int) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(width) * 5).astype(np.float32)


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


V, W = side(VISUAL_WIDTH, 1), side(VISUAL_WIDTH, 2)
T, U = side(TEXT_WIDTH, 3), side(TEXT_WIDTH, 4)
STORED = retrieval_key(W, U)


@given(st.integers(0, 99), st.integers(0, 99))
def test_an_inner_product_is_the_weighted_sum_of_cosines(a: int, b: int) -> None:
    visual, text = side(VISUAL_WIDTH, a), side(TEXT_WIDTH, b)
    product = float(retrieval_key(visual, text) @ STORED)
    assert product == pytest.approx(0.7 * cosine(visual, W) + 0.3 * cosine(text, U), abs=1e-5)


def test_shape_and_length() -> None:
    made = retrieval_key(V, T)
    assert (made.shape, made.dtype) == ((WIDTH,), np.float32)
    assert np.linalg.norm(made) == pytest.approx(1, abs=1e-6)
    assert float(made @ made) == pytest.approx(1, abs=1e-6)


def test_one_side_missing_gives_the_other_side_s_cosine() -> None:
    assert float(retrieval_key(V, None) @ STORED) == pytest.approx(cosine(V, W), abs=1e-5)
    assert float(retrieval_key(None, T) @ STORED) == pytest.approx(cosine(T, U), abs=1e-5)
    assert float(retrieval_key(W, np.zeros(TEXT_WIDTH, np.float32)) @ STORED) == pytest.approx(1, abs=1e-5)


def test_the_weight_is_a_parameter() -> None:
    made = retrieval_key(V, T, visual_weight=0.25)
    assert np.linalg.norm(made[:VISUAL_WIDTH]) == pytest.approx(0.5, abs=1e-6)
    assert np.linalg.norm(made[VISUAL_WIDTH:]) == pytest.approx(math.sqrt(0.75), abs=1e-6)


def test_keys_that_cannot_be() -> None:
    with pytest.raises(InvalidRequest, match="needs a visual or a text"):
        retrieval_key(None, np.zeros(TEXT_WIDTH, np.float32))
    with pytest.raises(InvalidRequest, match=r"visual embedding has shape \[3\]"):
        retrieval_key(np.zeros(3, np.float32), T)
    with pytest.raises(InvalidRequest, match="finite"):
        retrieval_key(np.full(VISUAL_WIDTH, np.nan, np.float32), T)


def test_priority_and_learning_rate() -> None:
    assert priority(0.75, -0.5) == pytest.approx(0.3)
    assert priority(1.0, 0.0) == 0.01
    assert learning_rate(0.7) == pytest.approx(3e-5)
    assert (learning_rate(1.0), learning_rate(0.0)) == (1e-6, 1e-4)


def test_ulids_sort_by_time_and_do_not_repeat() -> None:
    made = {ulid() for _ in range(2000)}
    assert len(made) == 2000
    assert all(len(i) == 26 and i[0] in "01234567" for i in made)
