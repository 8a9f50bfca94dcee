"""Values and their bytes; envelopes that show what is not whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pixelis.schema import Neighbour
from python_backends.caching.codec import FloatsCodec, JsonCodec, NumbersCodec
from python_backends.caching.envelope import AHEAD_S, unwrap, wrap


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)))
def test_arrays_come_back_to_the_bit_and_cannot_be_changed(array: np.ndarray) -> None:
    codec = FloatsCodec()
    back = codec.decode(codec.encode(array))
    assert (back.shape, back.tobytes()) == (array.shape, array.tobytes())
    assert not back.flags.writeable


def test_values_that_are_none_are_value_errors() -> None:
    for codec in (FloatsCodec(), NumbersCodec(2), JsonCodec(list[Neighbour])):
        for data in (b"", b"\xff", b"\x02\x00\x00", b"\x01\x09\x00\x00\x00\x00", b"{}", b"null"):
            with pytest.raises(ValueError):  # noqa: PT011
                codec.decode(data)


@given(st.text(max_size=9), st.binary(max_size=40), st.integers(0, 200), st.integers(1, 255))
def test_any_change_of_an_envelope_is_seen(name: str, value: bytes, at: int, by: int) -> None:
    data = wrap(name, value, 1000.0)
    assert unwrap(name, data, 1007.0) == (value, 7.0)
    at %= len(data)
    changed = bytearray(data)
    changed[at] = (changed[at] + by) % 256
    for bad in (bytes(changed), data[:at], data + b"x", b"", name.encode()):
        with pytest.raises(ValueError):  # noqa: PT011
            unwrap(name, bad, 1007.0)
    with pytest.raises(ValueError, match="damaged"):
        unwrap(f"{name}x", data, 1007.0)


def test_clocks_that_jump() -> None:
    data = wrap("a", b"x", 1000.0)
    assert unwrap("a", data, 1000.0 - AHEAD_S) == (b"x", 0.0)
    with pytest.raises(ValueError, match="future"):
        unwrap("a", data, 1000.0 - AHEAD_S - 1)
    with pytest.raises(ValueError, match="future"):
        unwrap("a", wrap("a", b"x", float("nan")), 1000.0)
