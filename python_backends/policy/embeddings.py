"""The embedding table of a policy artifact; looked-up rows are fp32.

It is fp32, fp16, int8 rows with a scale each, or uint8 (128 is zero) in blocks of a row with a scale each: the last is
what `MatMulNBits` multiplies by, so that a graph can make logits with the same file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import SetupError
from python_backends.policy.checkpoint import CheckpointConfig

TABLE, SCALE = "embed_tokens.npy", "embed_tokens.scale.npy"
MEND = "Build it again with `pixelis build policy`."
Floats = NDArray[np.float32]


def widened(rows: Floats, width: int) -> Floats:
    """`rows [n, hidden]` with zeros behind them, `[n, width]`: tokens of text bring no features for the layers."""
    if rows.shape[1] == width:
        return rows
    wide = np.zeros((len(rows), width), np.float32)
    wide[:, : rows.shape[1]] = rows
    return wide


class EmbeddingTable:
    """`[vocabulary, hidden]`; `table[ids]` are rows in fp32, a new array.

    Args:
        rows: fp32, fp16, int8 or uint8.
        scale: fp32, for int8 `[vocabulary, 1]`, for uint8 `[vocabulary, blocks]`, and for nothing else.
    """

    def __init__(self, rows: NDArray[np.generic], scale: Floats | None = None) -> None:
        self._rows, self._scale = rows, scale

    @property
    def shape(self) -> tuple[int, ...]:
        """Vocabulary and hidden size."""
        return self._rows.shape

    def __getitem__(self, ids: NDArray[np.int64]) -> Floats:
        rows = self._rows[ids].astype(np.float32)
        if self._scale is None:
            return rows
        if self._rows.dtype == np.uint8:
            rows -= 128.0
        scale = self._scale[ids]
        blocks = rows.reshape(*scale.shape, -1)
        blocks *= scale[..., None]
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
        if rows.shape != wanted or rows.dtype not in (np.float32, np.float16, np.int8, np.uint8):
            raise SetupError(
                f"{TABLE} is {rows.dtype}{list(rows.shape)}, config.json wants float32{list(wanted)} "
                "(or float16, or int8 or uint8 with scales).",
                mend=MEND,
            )
        if rows.dtype not in (np.int8, np.uint8):
            return cls(rows)
        scale = _mapped(directory / SCALE)
        blocks = scale.shape[-1] if rows.dtype == np.uint8 and scale.ndim == 2 else 1
        if scale.shape != (config.vocabulary, blocks) or scale.dtype != np.float32 or config.hidden % max(blocks, 1):
            what = "a scale a row" if rows.dtype == np.int8 else "scales of blocks of its rows"
            raise SetupError(f"{SCALE} is {scale.dtype}{list(scale.shape)}, not {what}.", mend=MEND)
        return cls(rows, np.asarray(scale, np.float32))


def _mapped(path: Path) -> NDArray[np.generic]:
    if not path.is_file():
        raise SetupError(f"The policy artifact {path.parent.name} has no {path.name}.", mend=MEND)
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
