"""Indexes, one file a kind, behind `Index`.

IndexConfig -> open_index -> faiss_index.py: rows.py (numbers), transform.py, codes.py (removal), archive.py (the file)
"""

from __future__ import annotations

from python_backends.experience.indexes.faiss_index import FaissIndex
from python_backends.experience.indexes.flat import FlatIndex
from python_backends.experience.indexes.open import open_index, read_index

__all__ = ["FaissIndex", "FlatIndex", "open_index", "read_index"]
