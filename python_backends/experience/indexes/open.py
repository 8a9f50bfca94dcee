"""Configurations to indexes."""

from __future__ import annotations

from pathlib import Path

from pixelis.index_config import IndexConfig
from python_backends.experience.indexes import archive
from python_backends.experience.indexes.faiss_index import FaissIndex
from python_backends.experience.indexes.flat import FlatIndex
from python_backends.experience.indexes.hnsw import HnswIndex
from python_backends.experience.indexes.ivf_flat import IvfFlatIndex
from python_backends.experience.indexes.ivf_pq import IvfPqIndex
from python_backends.experience.indexes.lsh import LshIndex

KINDS: dict[str, type[FaissIndex]] = {
    "flat": FlatIndex,
    "hnsw": HnswIndex,
    "ivf_flat": IvfFlatIndex,
    "ivf_pq": IvfPqIndex,
    "lsh": LshIndex,
}


def open_index(config: IndexConfig, width: int, threads: int = 1) -> FaissIndex:
    """An empty index.

    Args:
        config: how it is built and searched.
        width: D.
        threads: for batches.

    Raises:
        InvalidRequest: the configuration does not fit the width.
    """
    return KINDS[config.index.kind](config, width, threads)


def read_index(path: Path, threads: int = 1) -> FaissIndex:
    """The index in a file, whatever its kind.

    Raises:
        SetupError: it cannot be read or is damaged.
    """
    found = archive.read(path)
    index = open_index(found.meta.config, found.meta.width, threads)
    index.take(found)
    return index
