"""`knn`: the experiences that the index starts with, made by the nano's training episodes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from builder.sources.base import Answer, Source, Tensors
from pixelis.array_file import read_array
from pixelis.errors import BuildError
from pixelis.schema import Experience

SEEDS = Path(__file__).parents[1] / "nano" / "seeds"
EXPERIENCES = "experiences.jsonl"
KEYS = "keys.npy"
NORM_TOLERANCE = 5e-3
"""Keys are stored in half precision: 1 664 rounded numbers."""
TIE = 1e-6
MEND = "Make them again: `pixelis nano seed`."


class Experiences(Source):
    """`experiences.jsonl` (one `Experience` a line) and `keys.npy` `[n, D]`.

    The gate asks for keys of the artifact by exact search: each must find itself.

    Args:
        directory: where the two files are; none = the nano's seeds.
    """

    name: ClassVar[str] = "knn"

    def __init__(self, directory: str | None = None) -> None:
        self.directory = Path(directory) if directory else SEEDS

    def files(self) -> Sequence[Path]:
        """The two files."""
        return [self.directory / EXPERIENCES, self.directory / KEYS]

    def export_onnx(self, directory: Path) -> None:
        """Copy both; they are served as they are."""
        for path in self.files():
            shutil.copyfile(path, directory / path.name)

    def samples(self) -> list[Tensors]:
        """All stored keys, in batches of several sizes."""
        keys = _read_keys(self.directory)
        cuts = [0, 1, min(4, len(keys)), *range(68, len(keys), 64), len(keys)]
        return [{"KEY": keys[a:b]} for a, b in pairwise(cuts) if b > a]

    def reference(self, inputs: Tensors) -> Tensors:
        """The place of each key, the first one where keys are equal."""
        return {"INDEX": _places(_read_keys(self.directory), inputs["KEY"])}

    @contextmanager
    def opened(self, directory: Path, threads: int = 1) -> Iterator[Answer]:
        """The place that an exact search of the artifact's keys finds for each query."""
        stored = _read_keys(directory)
        unit = _unit(stored)

        def answer(inputs: Tensors) -> Tensors:
            found = []
            for query in inputs["KEY"]:
                scores = unit @ _unit(query[None])[0]
                best = np.flatnonzero(scores >= scores.max() - TIE)
                same = [int(i) for i in best if np.array_equal(stored[i], query)]
                found.append(same[0] if same else int(best[0]))
            return {"INDEX": np.array(found, np.int64)}

        yield answer

    def check(self, directory: Path) -> list[str]:
        """Lines that are no experiences, ids that occur twice, keys of another number, length or direction."""
        found, ids = [], set()
        lines = (directory / EXPERIENCES).read_bytes().splitlines()
        for number, line in enumerate(lines, 1):
            try:
                identity = Experience.model_validate_json(line).experience_id
            except ValidationError as error:
                found.append(f"{EXPERIENCES} line {number}: {error.errors()[0]['msg']}")
                continue
            if identity in ids:
                found.append(f"{EXPERIENCES} line {number}: the id {identity} occurs twice")
            ids.add(identity)
        keys = _read_keys(directory)
        if len(keys) != len(lines):
            found.append(f"{len(lines)} experiences have {len(keys)} keys")
        norms = np.linalg.norm(keys.astype(np.float64), axis=1)
        wrong = np.flatnonzero(~(np.abs(norms - 1) <= NORM_TOLERANCE))  # NaN is wrong too
        if len(wrong):
            found.append(
                f"{len(wrong)} keys are not finite and of length 1, the first is {wrong[0]} ({norms[wrong[0]]:g})"
            )
        return found


def _read_keys(directory: Path) -> NDArray[np.float32]:
    """Keys `[n, D]`.

    Raises:
        BuildError: not an array of numbers with two axes and at least one row.
    """
    try:
        keys: NDArray[np.float32] = read_array(directory / KEYS)
    except (OSError, ValueError) as error:
        raise BuildError(f"{directory / KEYS} cannot be read: {error}.", mend=MEND) from None
    if keys.ndim != 2 or not len(keys) or not np.issubdtype(keys.dtype, np.floating):
        raise BuildError(f"{directory / KEYS} is {keys.dtype}{list(keys.shape)}, not keys [n, D].", mend=MEND)
    return keys.astype(np.float32)


def _unit(keys: NDArray[np.generic]) -> NDArray[np.float64]:
    wide = keys.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.where(lengths > 0, wide / np.where(lengths > 0, lengths, 1.0), 0.0)


def _places(stored: NDArray[np.float32], queries: NDArray[np.generic]) -> NDArray[np.int64]:
    first: dict[bytes, int] = {}
    for place, key in enumerate(stored):
        first.setdefault(key.tobytes(), place)
    return np.array([first[np.asarray(query, np.float32).tobytes()] for query in queries], np.int64)
