"""Calibration data for ONNX Runtime's quantiser, held against the graph before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from builder.sources.base import Tensors
from pixelis.errors import BuildError, PixelisError

MEND = "Mend `calibration()` of the source."


class Reader:
    """Feeds samples to the calibrator, one batch at a time (the quantiser's `CalibrationDataReader`).

    Args:
        path: the graph that is to be calibrated.
        samples: named, batched inputs.
        limit: rows at most, 0 = all; a batch that would pass it is cut.

    Attributes:
        count: rows that are fed.

    Raises:
        BuildError: no sample, or one whose names, types or shapes are not the graph's, or that holds NaN or infinity.
    """

    def __init__(self, path: Path, samples: Sequence[Tensors], limit: int = 0) -> None:
        self._batches = _cut(_checked(path, samples), limit)
        self.count = sum(_rows(batch) for batch in self._batches)
        self._waiting: Iterator[Tensors] = iter(self._batches)

    def get_next(self) -> Tensors | None:
        """The next batch, none after the last one."""
        return next(self._waiting, None)

    def rewind(self) -> None:
        """Begin again."""
        self._waiting = iter(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Feed the batches from `start_index` up to `end_index`, without it."""
        self._waiting = iter(self._batches[start_index:end_index])

    def __iter__(self) -> Iterator[Tensors]:
        return self

    def __next__(self) -> Tensors:
        return next(self._waiting)

    def __len__(self) -> int:
        return len(self._batches)


def _checked(path: Path, samples: Sequence[Tensors]) -> list[Tensors]:
    from python_backends.engine.onnxruntime_engine import OnnxRuntimeEngine

    kept = [sample for sample in samples if _rows(sample)]
    if not kept:
        raise BuildError("There is no calibration data, so no range to quantise into.", mend=MEND)
    with OnnxRuntimeEngine(path, threads=1) as engine:
        for number, sample in enumerate(kept):
            try:
                engine.check(sample)
            except PixelisError as error:
                raise BuildError(f"Calibration sample {number} does not fit: {error.message}", mend=MEND) from None
            broken = [name for name, array in sample.items() if not _finite(array)]
            if broken:
                raise BuildError(f"Calibration sample {number}: {broken[0]} holds NaN or infinity.", mend=MEND)
    return kept


def _cut(samples: list[Tensors], limit: int) -> list[Tensors]:
    """The first `limit` rows of all samples together."""
    if not limit:
        return samples
    found, left = [], limit
    for sample in samples:
        if left <= 0:
            break
        found.append({name: array[:left] for name, array in sample.items()})
        left -= _rows(sample)
    return found


def _rows(sample: Tensors) -> int:
    return min((len(array) for array in sample.values()), default=0)


def _finite(array: NDArray[np.generic]) -> bool:
    return not np.issubdtype(array.dtype, np.floating) or bool(np.isfinite(array).all())
