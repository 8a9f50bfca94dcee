"""Equal values spell the same, different ones do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_backends.caching.canonical import canonical
from python_backends.caching.key import Key, meant

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


def strict(value: Any) -> Any:
    """A form in which 1, 1.0, True and -0.0 differ, as they do for the encoding."""
    if isinstance(value, list):
        return ("list", tuple(strict(one) for one in value))
    if isinstance(value, dict):
        return ("dict", tuple(sorted((name, strict(one)) for name, one in value.items())))
    return (type(value).__name__, repr(value))


@given(plain, plain)
def test_the_encoding_is_one_to_one(a: Any, b: Any) -> None:
    assert (canonical(a) == canonical(b)) == (strict(a) == strict(b))


@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=6))
def test_the_order_of_names_does_not_count(value: dict[str, int]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))


def test_arrays_differ_by_shape_kind_and_any_bit() -> None:
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    nudged = base.copy()
    nudged[2, 3] = np.nextafter(np.float32(11), np.float32(99))
    others = [
        base.T,
        base.reshape(4, 3),
        base.astype(np.float64),
        base.astype(np.int32),
        nudged,
        base[:2],
        base.tolist(),
    ]
    assert len({canonical(one) for one in [base, *others]}) == 1 + len(others)
    assert canonical(np.asfortranarray(base)) == canonical(base) == canonical(base.astype(">f4"))
    assert canonical(np.zeros((0, 3))) != canonical(np.zeros((3, 0)))


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a": {1}}, np.array([None]), 1j])
def test_what_has_no_encoding_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def test_a_key_names_prefix_and_versions() -> None:
    one = Key.of("request", {"policy": "3", "vision_encoder": "12"}, a=1)
    assert one.name.startswith("request:policy-3.vision_encoder-12:")
    assert len(one.digest) >= 16
    assert one != Key.of("request", {"policy": "4", "vision_encoder": "12"}, a=1)
    assert one.digest != Key.of("other", {"policy": "3", "vision_encoder": "12"}, a=1).digest
    assert meant(one.name, "request", "policy-3")
    assert not meant(one.name, "request", "policy-1")
    assert not meant(one.name, "request", "encoder-12")
    assert not meant(one.name, "requests", None)
    with pytest.raises(ValueError, match="versions"):
        Key.of("request", {"policy": "3:4"}, a=1)
