"""One safetensors file: its header, checked against the file's size, and its bytes mapped into memory.

The format (https://huggingface.co/docs/safetensors): eight bytes of little-endian length, a JSON object of that length
that names each tensor's dtype, shape and the span of its bytes, then the bytes.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from pixelis.errors import BuildError
from pixelis.json_text import loads

# safetensors' words for a dtype, and numpy's types for them.
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "U16": np.dtype(np.uint16),
    "I32": np.dtype(np.int32),
    "U32": np.dtype(np.uint32),
    "I64": np.dtype(np.int64),
    "U64": np.dtype(np.uint64),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
}
_LONGEST_HEADER = 100_000_000  # what the safetensors library itself allows
_MOST_AXES, _LONGEST_AXIS = 8, 2**40  # numpy makes no array of more, even of one that has no elements
_AGAIN = "Fetch the file again, and compare its size with the one on the model's page."


@dataclass(frozen=True)
class Tensor:
    """Where one tensor is.

    Attributes:
        dtype: in safetensors' words.
        shape: sizes of its axes.
        begin, end: its bytes, counted from the beginning of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        """Bytes it takes in the file."""
        return self.end - self.begin


class Shard:
    """A safetensors file, read as it is asked for.

    Attributes:
        path: the file.
        tensors: what is in it, by name.

    Raises:
        BuildError: the file is no safetensors file, or is shorter or longer than its header says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tensors = _read_header(path)

    @cached_property
    def _mapped(self) -> mmap.mmap:
        with self.path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def read(self, name: str) -> np.ndarray[Any, Any]:
        """A tensor as a read-only view of the file: nothing is read before it is touched."""
        tensor = self.tensors[name]
        dtype = DTYPES[tensor.dtype]
        if not tensor.nbytes:
            return np.zeros(tensor.shape, dtype)
        count = math.prod(tensor.shape)
        return np.frombuffer(self._mapped, dtype, count=count, offset=tensor.begin).reshape(tensor.shape)

    def release(self) -> None:
        """Lets go of the pages that were touched: they stay valid, and are read from the file again when needed."""
        if "_mapped" in self.__dict__ and hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)


def _read_header(path: Path) -> dict[str, Tensor]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > _LONGEST_HEADER:
            raise BuildError(f"{path.name} is no safetensors file: its header is not readable.", mend=_AGAIN)
        if length > size - 8:
            raise BuildError(f"{path.name} is cut off: {size} bytes, which is less than its header.", mend=_AGAIN)
        written = file.read(length)
    try:
        entries = loads(written)
        entries.pop("__metadata__", None)
        tensors = {name: _tensor(path, name, entry, 8 + length) for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BuildError(f"{path.name} is no safetensors file: its header is not readable.", mend=_AGAIN) from error
    _check_spans(path, tensors, 8 + length, size)
    return tensors


def _tensor(path: Path, name: str, entry: dict[str, Any], start: int) -> Tensor:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(isinstance(one, int) for one in (begin, end, *shape)):
        raise TypeError("sizes that are no whole numbers")
    if len(shape) > _MOST_AXES or max(shape, default=0) > _LONGEST_AXIS:
        raise ValueError("no weight has such a shape")
    dtype = DTYPES.get(entry["dtype"])
    if dtype is None:
        message = f"{path.name}: {name[:200]} is {str(entry['dtype'])[:40]}, a dtype that is not read here."
        raise BuildError(message, mend=f"Store it as one of {', '.join(DTYPES)}.")
    if min(shape, default=0) < 0 or end - begin != math.prod(shape) * dtype.itemsize:
        sizes = str(list(shape))[:80]
        message = f"{path.name}: {name[:200]} has {end - begin} bytes, which is not {entry['dtype']} {sizes}."
        raise BuildError(message, mend=_AGAIN)
    return Tensor(entry["dtype"], shape, start + begin, start + end)


def _check_spans(path: Path, tensors: dict[str, Tensor], start: int, size: int) -> None:
    """The tensors lie one behind the other and fill the file: no hole, no overlap, nothing missing at the end."""
    at = start
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != at:
            raise BuildError(f"{path.name}: the bytes of {name[:200]} do not follow the tensor before it.", mend=_AGAIN)
        at = tensor.end
    if at > size:
        raise BuildError(f"{path.name} is cut off: {size} bytes of {at} are there.", mend=_AGAIN)
    if at < size:
        raise BuildError(f"{path.name} has {size - at} bytes behind its last tensor.", mend=_AGAIN)
