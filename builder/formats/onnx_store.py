"""Weights as ONNX external data: written block by block, in files of about 1 GiB."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from pixelis.errors import BuildError

LIMIT = 1 << 30
"""Bytes of one file; a tensor that is larger has a file of its own."""
PAGE = 4096
"""What a tensor begins at a multiple of, so that it can be mapped where it lies."""


class ExternalStore:
    """Files beside `model.onnx` that take tensors one after the other; a context manager.

    Args:
        directory: where they go.
        limit: bytes of one file.

    Attributes:
        files: names of those written.
        written: bytes in them.
    """

    def __init__(self, directory: Path, limit: int = LIMIT) -> None:
        self._directory, self._limit = directory, limit
        self._file: IO[bytes] | None = None
        self.files: list[str] = []
        self.written = 0

    def put(
        self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], blocks: Iterable[NDArray[Any]]
    ) -> ir.ExternalTensor:
        """Write a tensor whose C-ordered bytes are those of `blocks`, one behind the other.

        Raises:
            BuildError: the blocks are not the tensor.
        """
        wanted = math.prod(shape) * dtype.itemsize
        file, offset = self._place(wanted)
        got = 0
        for block in blocks:
            got += file.write(np.ascontiguousarray(block, dtype).data.cast("B") if block.size else b"")
        if got != wanted:
            raise BuildError(f"{name} came as {got} bytes, {dtype}{list(shape)} has {wanted}.")
        self.written += got
        return external(self._directory, self.files[-1], offset, name, dtype, shape)

    def _place(self, size: int) -> tuple[IO[bytes], int]:
        """The file for a tensor of `size` bytes, and where it begins there."""
        if self._file is not None and self._file.tell() and self._file.tell() + PAGE + size > self._limit:
            self._file.close()
            self._file = None
        if self._file is None:
            self.files.append(f"weights-{len(self.files) + 1:05d}.bin")
            self._file = (self._directory / self.files[-1]).open("wb")
        self._file.write(b"\0" * (-self._file.tell() % PAGE))
        return self._file, self._file.tell()

    def __enter__(self) -> ExternalStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def external(
    directory: Path, file: str, offset: int, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> ir.ExternalTensor:
    """A tensor that lies in a file of `directory`."""
    size = math.prod(shape) * dtype.itemsize
    return ir.ExternalTensor(
        file, offset, size, ir.DataType.from_numpy(dtype), shape=ir.Shape(shape), name=name, base_dir=directory
    )
