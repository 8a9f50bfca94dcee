"""The embedding table of a policy artifact: fp32, fp16, or int8 rows with a scale each; looked-up rows are fp32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import SetupError
from python_backends.policy.checkpoint import CheckpointConfig

TABLE, SCALE = "embed_tokens.npy", "embed_tokens.scale.npy"
MEND = "Build it again with `pixelis build policy`."
Floats = NDArray[np.float32]


class EmbeddingTable:
    """`[vocabulary, hidden]`; `table[ids]` are rows in fp32, a new array.

    Args:
        rows: fp32, fp16 or int8.
        scale: fp32 `[vocabulary, 1]`, for int8 and nothing else.
    """

    def __init__(self, rows: NDArray[np.generic], scale: Floats | None = None) -> None:
        self._rows, self._scale = rows, scale

    @property
    def shape(self) -> tuple[int, ...]:
        """Vocabulary and hidden size."""
        return self._rows.shape

    def __getitem__(self, ids: NDArray[np.int64]) -> Floats:
        rows = self._rows[ids].astype(np.float32)
        if self._scale is not None:
            rows *= self._scale[ids]
        return rows

    def take(self, ids: NDArray[np.int64], out: Floats) -> None:
        """Write the rows `ids` into `out`; an id outside the vocabulary is its nearest end."""
        if self._rows.dtype == np.float32:
            np.take(self._rows, ids, axis=0, out=out, mode="clip")
        else:
            out[:] = self[np.clip(ids, 0, len(self._rows) - 1)]

    @classmethod
    def load(cls, directory: Path, config: CheckpointConfig) -> EmbeddingTable:
        """The table in `directory`, mapped from disk.

        Raises:
            SetupError: a file is missing or does not fit `config.json`.
        """
        rows = _mapped(directory / TABLE)
        wanted = (config.vocabulary, config.hidden)
        if rows.shape != wanted or rows.dtype not in (np.float32, np.float16, np.int8):
            raise SetupError(
                f"{TABLE} is {rows.dtype}{list(rows.shape)}, config.json wants float32{list(wanted)} "
                "(or float16, or int8 with scales).",
                mend=MEND,
            )
        if rows.dtype != np.int8:
            return cls(rows)
        scale = _mapped(directory / SCALE)
        if scale.shape != (config.vocabulary, 1) or scale.dtype != np.float32:
            raise SetupError(f"{SCALE} is {scale.dtype}{list(scale.shape)}, not a scale a row.", mend=MEND)
        return cls(rows, np.asarray(scale, np.float32))


def _mapped(path: Path) -> NDArray[np.generic]:
    if not path.is_file():
        raise SetupError(f"The policy artifact {path.parent.name} has no {path.name}.", mend=MEND)
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
