"""Vectors and codes of one size in a row: taking one out by putting the last in its place."""

from __future__ import annotations

from typing import Any

import faiss

from pixelis.index_config import Storage

_QUANTIZERS = {Storage.FLOAT16: faiss.ScalarQuantizer.QT_fp16, Storage.INT8: faiss.ScalarQuantizer.QT_8bit}


def quantizer(storage: Storage) -> int:
    """FAISS's name for a storage that is not float32."""
    return int(_QUANTIZERS[storage])


def storing(width: int, storage: Storage) -> Any:
    """An empty FAISS index that keeps vectors as `storage` says and compares them by inner product."""
    if storage is Storage.FLOAT32:
        return faiss.IndexFlatIP(width)
    return faiss.IndexScalarQuantizer(width, quantizer(storage), faiss.METRIC_INNER_PRODUCT)


def move_last_to(index: Any, row: int) -> None:
    """Overwrite `row` of an `IndexFlatCodes` by its last, and shorten it by one; FAISS itself would shift all after."""
    last, size = index.ntotal - 1, index.code_size
    codes = faiss.rev_swig_ptr(index.codes.data(), index.ntotal * size).reshape(-1, size)
    codes[row] = codes[last]
    index.codes.resize(last * size)
    index.ntotal = last


def reserve(index: Any, rows: int) -> None:
    """Give an `IndexFlatCodes` memory for so many rows, so that adding to it copies nothing until they are used up."""
    used, wanted = index.codes.size(), rows * index.code_size
    if wanted > used:
        index.codes.resize(wanted)
        index.codes.resize(used)
