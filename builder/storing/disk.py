"""What the disk says when it cannot: full, read-only, gone. A typed error instead of a trace."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixelis.errors import BuildError

FULL = (errno.ENOSPC, errno.EDQUOT)
SPARE = 2**20
"""Bytes under which a disk counts as full: libraries do not all tell why a write failed."""


@contextmanager
def typed(doing: str) -> Iterator[None]:
    """What goes wrong with files within is a `BuildError` that says what was being done.

    Args:
        doing: for instance `publishing alpha`.

    Raises:
        BuildError: instead of an `OSError`.
    """
    try:
        yield
    except (OSError, shutil.Error) as error:
        raise failure(doing, error) from error


def failure(doing: str, error: OSError) -> BuildError:
    """What `error` means for somebody who was `doing` something."""
    if is_full(error):
        mend = "Nothing half written is left, and the old version serves. Make room (`pixelis models prune --cache`)."
        return BuildError(f"The disk is full while {doing}.", mend=mend)
    where = f" ({error.filename})" if error.filename else ""
    return BuildError(
        f"{doing[:1].upper()}{doing[1:]} failed: {error.strerror or error}{where}.", mend="See that path."
    )


def is_full(error: OSError) -> bool:
    """Whether it says that there is no room, as itself or, from `shutil.copytree`, within a list."""
    return error.errno in FULL or (isinstance(error, shutil.Error) and "No space left" in str(error))


def without_room(directory: Path) -> bool:
    """Whether the disk of `directory` has no room."""
    return shutil.disk_usage(directory).free < SPARE
