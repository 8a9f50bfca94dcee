"""Arrays, and what is none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from pixelis.array_file import read_array


def saved(array: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(array))
    return out.getvalue()


def test_an_array(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(saved([[1.5, 2], [3, 4]]))
    assert read_array(path).tolist() == read_array(path.read_bytes()).tolist() == [[1.5, 2], [3, 4]]


RIGHT = saved([1, 2, 3])


def archive() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.zeros(3))
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        RIGHT[:-1],
        RIGHT[:20],
        RIGHT.replace(b"(3,)", b")3,)"),
        RIGHT.replace(b"(3,)", b"'''3"),
        RIGHT.replace(b"(3,), ", b"(9**9,"),
        RIGHT.replace(b"(3,), }        ", b"(10**18,), }   "),
        RIGHT.replace(b"'<i8'", b"'|O' "),
        archive(),
    ],
)
def test_what_is_none(data: bytes) -> None:
    assert data != RIGHT
    with pytest.raises(ValueError, match=r"."):
        read_array(data)


def test_objects_are_not_made(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.save(out, np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="Object arrays"):
        read_array(out.getvalue())
