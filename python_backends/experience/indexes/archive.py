"""An index in one file: a zip archive that is not compressed, so that every part has a checksum of its own.

meta.json    how it was built, for which width and metric
rows.npy     the number of each row
alive.npy    which rows live
index.faiss  what FAISS writes; absent where the index was not trained yet
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from pixelis.array_file import read_array
from pixelis.draft import draft
from pixelis.errors import SetupError
from pixelis.index_config import IndexConfig
from pixelis.json_text import loads, reason

FORMAT = 1
BLOCK = 1 << 20
METRIC = "inner_product"
WIDEST = 2**16
"""Numbers of a key; some kinds take memory by the square of it before there is a vector."""


class Meta(BaseModel):
    """`meta.json`."""

    format: int
    metric: str
    width: int = Field(ge=1, le=WIDEST)
    config: IndexConfig


@dataclass
class Archive:
    """What the file holds; `index` is None where nothing was trained."""

    meta: Meta
    rows: NDArray[np.int64]
    alive: NDArray[np.bool_]
    index: Any


def write(path: Path, archive: Archive) -> None:
    """Write to a file beside `path`, sync it, and put it in place by one rename. Raises `OSError`."""
    with draft(path, durable=True) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as parts:
        _fill(parts, archive)


def read(path: Path) -> Archive:
    """The archive at `path`.

    Raises:
        SetupError: it cannot be read, a checksum does not match, or another version wrote it.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist()):
                raise SetupError(f"{path.name} is compressed, and no index.", mend=_MEND)
            damaged = parts.testzip()  # before FAISS reads sizes out of it
            if damaged is not None:
                raise SetupError(f"{path.name} is damaged in {damaged}.", mend=_MEND)
            return _parsed(parts, path)
    except (OSError, zipfile.BadZipFile, EOFError, KeyError, ValueError, RuntimeError) as error:
        raise SetupError(f"{path.name} holds no index that can be read: {reason(error)}.", mend=_MEND) from error


def size(index: Any) -> int:
    """Bytes of a FAISS index, as it is written; in memory it is as large."""
    written = 0

    def count(block: bytes) -> int:
        nonlocal written
        written += len(block)
        return len(block)

    faiss.write_index(index, faiss.PyCallbackIOWriter(count, BLOCK))
    return written


def _fill(parts: zipfile.ZipFile, archive: Archive) -> None:
    parts.writestr("meta.json", archive.meta.model_dump_json())
    for name, values in (("rows.npy", archive.rows), ("alive.npy", archive.alive)):
        with parts.open(name, "w", force_zip64=True) as part:
            np.save(part, values, allow_pickle=False)
    if archive.index is not None:
        with parts.open("index.faiss", "w", force_zip64=True) as part:
            faiss.write_index(archive.index, faiss.PyCallbackIOWriter(part.write, BLOCK))


def _parsed(parts: zipfile.ZipFile, path: Path) -> Archive:
    raw = loads(parts.read("meta.json"))
    if not isinstance(raw, dict) or raw.get("format") != FORMAT or raw.get("metric") != METRIC:
        raise SetupError(f"{path.name} has another format or metric.", mend=_MEND)
    rows, alive = (read_array(parts.read(name)) for name in ("rows.npy", "alive.npy"))
    if rows.ndim != 1 or alive.ndim != 1 or rows.dtype.kind != "i":
        raise ValueError("its rows are none")
    index = None
    if "index.faiss" in parts.namelist():
        with parts.open("index.faiss") as part:
            index = faiss.read_index(faiss.PyCallbackIOReader(part.read, BLOCK))
    return Archive(Meta.model_validate(raw), rows, alive, index)


_MEND = "Build the index again from the experiences."
