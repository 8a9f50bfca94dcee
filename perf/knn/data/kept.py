"""Arrays that take long to make, kept in one file beside what they depend on."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.draft import draft

Arrays = dict[str, NDArray[Any]]


def kept(path: Path, depends_on: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays in `path`, made anew where there are none, or others, or where they were made of something else."""
    digest = hashlib.sha256(depends_on.encode()).hexdigest()
    found = _read(path)
    if found is not None and str(found.pop("depends_on", "")) == digest:
        return found
    made = make()
    with draft(path) as beside, beside.open("wb") as file:
        np.savez(file, depends_on=np.array(digest), **made)
    return made


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
