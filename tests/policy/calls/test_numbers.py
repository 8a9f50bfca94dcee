"""Numbers between bounds: all that are inside, none that is not, in every way to write them that JSON has here."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_backends.policy.calls.numbers import Counted, below, positive, upto, whole
from python_backends.policy.calls.pattern import Pattern


def takes(pattern: Pattern, text: str) -> bool:
    return re.fullmatch(pattern.regex, text) is not None


@given(st.sampled_from([0, 1]), st.integers(1, 2000), st.integers(0, 30000))
def test_whole_numbers(low: int, high: int, number: int) -> None:
    for value in (number, low, high, low - 1, high + 1, number % (high + 2)):
        assert takes(whole(low, high), str(value)) == (low <= value <= high)
        assert not takes(whole(low, high), f"0{value}")


@pytest.mark.parametrize("high", [1, 2, 9, 10, 11, 19, 20, 99, 100, 101, 168, 999, 1000])
def test_every_whole_number_near_the_bounds(high: int) -> None:
    for low in (0, 1):
        taken = {value for value in range(2 * high + 20) if takes(whole(low, high), str(value))}
        assert taken == set(range(low, high + 1))


@given(st.integers(1, 1500), st.decimals(0, 3000, places=4, allow_nan=False))
def test_numbers_with_decimals(end: int, number: object) -> None:
    text = f"{float(str(number)):g}" if float(str(number)) >= 1e-4 or float(str(number)) == 0 else "0"
    value = float(text)
    assert takes(below(end), text) == (value < end)
    assert takes(upto(end), text) == (value <= end)


def test_forms_of_numbers() -> None:
    assert [takes(upto(168), text) for text in ("168", "168.0", "0", "0.5", "167.999999")] == [True] * 5
    wrong = ("168.1", "168.", ".5", "-1", "00", "1e1", "1.0000001", "", "169", "1680")
    assert [takes(upto(168), text) for text in wrong] == [False] * len(wrong)
    assert not takes(below(168), "168")
    assert [takes(upto(1), text) for text in ("0", "0.25", "1", "1.0", "1.5")] == [True, True, True, True, False]
    assert [takes(positive(), text) for text in ("2", "0.5", "0.000001", "9999.5", "0", "0.0", "10000")] == [
        *[True] * 4,
        *[False] * 3,
    ]
    assert [takes(Counted(12), text) for text in ("1", "9", "10", "12", "0", "13", "20")] == [*[True] * 4, *[False] * 3]
