"""The embedding table: rows in fp32 whatever is stored, and what does not fit is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pixelis.errors import SetupError
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.embeddings import SCALE, TABLE, EmbeddingTable


@pytest.fixture
def artifact(random_checkpoint: Path, tmp_path: Path) -> Path:
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(random_checkpoint / name, tmp_path / name)
    return tmp_path


def _table(directory: Path) -> np.ndarray:
    config = CheckpointConfig.load(directory)
    return np.random.default_rng(0).normal(size=(config.vocabulary, config.hidden)).astype(np.float32)


@pytest.mark.parametrize(("kind", "error"), [("fp32", 0.0), ("fp16", 2e-3), ("int8", 2e-2), ("uint8", 2e-2)])
def test_rows_are_single_precision(kind: str, error: float, artifact: Path) -> None:
    table = _table(artifact)
    if kind == "int8":
        scale = np.abs(table).max(axis=1, keepdims=True) / 127
        np.save(artifact / TABLE, np.rint(table / scale).astype(np.int8))
        np.save(artifact / SCALE, scale)
    elif kind == "uint8":  # blocks of 32 that share a scale
        blocks = table.reshape(len(table), -1, 32)
        scale = np.abs(blocks).max(axis=2) / 127
        np.save(artifact / TABLE, (np.rint(blocks / scale[..., None]) + 128).astype(np.uint8).reshape(table.shape))
        np.save(artifact / SCALE, scale)
    else:
        np.save(artifact / TABLE, table.astype({"fp32": np.float32, "fp16": np.float16}[kind]))
    stored = EmbeddingTable.load(artifact, CheckpointConfig.load(artifact))
    ids = np.array([5, 0, 5, len(table) - 1])
    rows = stored[ids]
    assert rows.dtype == np.float32
    assert stored.shape == table.shape
    np.testing.assert_allclose(rows, table[ids], atol=error)
    out = np.empty_like(rows)
    stored.take(np.array([5, -3, 5, 10**6]), out)
    np.testing.assert_array_equal(out, rows)
    rows[:] = 0  # a copy: the table is not touched
    assert np.abs(stored[ids]).max() > 0


def test_int8_needs_scales_that_fit(artifact: Path) -> None:
    table = _table(artifact)
    np.save(artifact / TABLE, table.astype(np.int8))
    config = CheckpointConfig.load(artifact)
    with pytest.raises(SetupError, match=r"has no embed_tokens\.scale\.npy"):
        EmbeddingTable.load(artifact, config)
    np.save(artifact / SCALE, np.ones(3, np.float32))
    with pytest.raises(SetupError, match="not a scale a row"):
        EmbeddingTable.load(artifact, config)


@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.int64])
def test_other_types_are_refused(dtype: type[np.generic], artifact: Path) -> None:
    np.save(artifact / TABLE, _table(artifact).astype(dtype))
    with pytest.raises(SetupError, match="wants float32"):
        EmbeddingTable.load(artifact, CheckpointConfig.load(artifact))
