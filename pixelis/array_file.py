"""Arrays in numpy's own format that somebody else may have written."""

from __future__ import annotations

import io
import tokenize
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


def read_array(source: Path | bytes) -> NDArray[Any]:
    """The array of a `.npy` file, or of its bytes; nothing is run, and archives of several are none.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no array, or one of objects.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source))
    with source.open("rb") as file:
        return _read(file)


def _read(file: BinaryIO) -> NDArray[Any]:
    try:
        read: Any = np.lib.format.read_array  # without types in numpy 1
        found: NDArray[Any] = read(file, allow_pickle=False)
    except (SyntaxError, tokenize.TokenError, TypeError, RecursionError, MemoryError, OverflowError, EOFError) as error:
        raise ValueError(f"its head cannot be read ({type(error).__name__})") from None
    return found
