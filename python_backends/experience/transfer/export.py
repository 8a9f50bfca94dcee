"""Out of a directory, also while a server uses it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pixelis.draft import draft
from pixelis.errors import SetupError, Unavailable
from pixelis.schema import Experience
from python_backends.experience.database import FILE, reader
from python_backends.experience.database.reads import bodies, vectors
from python_backends.experience.transfer.files import Format
from python_backends.experience.transfer.row import Row


def export(directory: Path, path: Path, how: Format, tenant: str | None = None) -> int:
    """Write the living experiences of `directory` and their keys to `path`, whole or not at all; how many there are.

    Args:
        directory: may be in use.
        path: of the file.
        how: its format.
        tenant: whose own, empty = the shared ones; none = all.

    Raises:
        SetupError: there are none, or they cannot be read.
        Unavailable: the file could not be written.
    """
    if not (directory / FILE).exists():
        raise SetupError(f"There are no experiences in {directory}.", mend="Name the machine's state: PIXELIS_STATE.")
    try:
        with draft(path) as beside, reader(directory / FILE) as connection:
            count = how.write(beside, _rows(connection, tenant))
    except sqlite3.Error as error:
        raise SetupError(
            f"The experiences in {directory} cannot be read: {error}.", mend="pixelis experience verify says more."
        ) from error
    except OSError as error:
        raise Unavailable(f"{path} was not written: {error.strerror}.", mend="Free some disk.") from error
    return count


def _rows(connection: sqlite3.Connection, tenant: str | None) -> Iterator[Row]:
    for (_, body), vector in zip(bodies(connection, "experiences"), vectors(connection, "experiences"), strict=True):
        experience = Experience.model_validate_json(body)
        if tenant in (None, experience.tenant):
            yield Row(experience, np.frombuffer(vector, np.float32))
