"""The numbers that the gate judges by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from builder.gating.compare import difference, worst
from builder.tolerance import TOLERANCES, Tolerance

FP32 = TOLERANCES["fp32"]
floats = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.floats(-100, 100, width=32))


@given(floats)
def test_an_array_does_not_differ_from_itself(array: NDArray[np.float32]) -> None:
    same = difference(array, array, FP32)
    assert (same.max_abs, same.mean_abs, same.max_rel, same.excess, same.argmax) == (0, 0, 0, 0, 1)
    assert same.faults(FP32) == []


@given(floats, st.floats(0.01, 10))
def test_a_shift_is_measured_and_refused(array: NDArray[np.float32], shift: float) -> None:
    found = difference(array.astype(np.float64) + shift, array.astype(np.float64), FP32)
    assert found.max_abs == pytest.approx(shift, rel=1e-6)
    assert found.mean_abs == pytest.approx(shift, rel=1e-6)
    assert any("mean absolute error" in fault for fault in found.faults(FP32))


@given(floats, st.sampled_from([np.nan, np.inf, -np.inf]))
def test_what_is_not_finite_is_outside_every_tolerance(array: NDArray[np.float32], bad: float) -> None:
    broken = array.copy()
    broken.flat[0] = bad
    anything = Tolerance(max_abs=1e9, max_rel=1e9, mean_abs=1e9, cosine=-1, argmax=0)
    assert difference(broken, array, anything).faults(anything)
    assert difference(array, broken, anything).faults(anything)


@given(arrays(np.int32, (3, 4), elements=st.integers(0, 3)), arrays(np.int32, (3, 4), elements=st.integers(0, 3)))
def test_integers_are_equal_or_not(a: NDArray[np.int32], b: NDArray[np.int32]) -> None:
    found = difference(a, b, FP32)
    assert found.equal == np.mean(a == b)
    assert bool(found.faults(FP32)) == (found.equal < FP32.integer)


def test_relative_error_leaves_out_what_is_nearly_zero() -> None:
    reference = np.array([[1e-5, 2.0]], np.float32)
    assert difference(reference * 2, reference, FP32).max_rel == pytest.approx(1)
    nearly = np.array([[1e-5]], np.float32)
    assert difference(nearly * 2, nearly, FP32).max_rel == 0


def test_a_tie_says_nothing() -> None:
    reference = np.array([[1.0, 1.0 - 1e-6, 0.0]])
    other = np.array([[1.0 - 1e-6, 1.0, 0.0]])
    assert difference(other, reference, FP32).argmax == 1
    assert difference(other, reference, FP32.model_copy(update={"tie": 0.0})).argmax == 0


def test_zero_vectors() -> None:
    zero, one = np.zeros((1, 3)), np.ones((1, 3))
    assert difference(zero, zero, FP32).cosine == 1
    assert difference(zero, one, FP32).cosine == 0


def test_the_worst_counts() -> None:
    reference = np.ones((2, 4))
    small, large = difference(reference + 1e-5, reference, FP32), difference(reference + 0.5, reference, FP32)
    both = worst([small, large])
    assert both.max_abs == pytest.approx(0.5)
    assert both.mean_abs == pytest.approx((0.5 + 1e-5) / 2)
    assert both.elements == 16
    broken = difference(reference * np.nan, reference, FP32)
    assert worst([small, broken]).max_abs is None
