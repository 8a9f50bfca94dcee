"""A checkpoint as the configured one, for this process and those that it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixelis.settings import Settings, settings

VARIABLE = "PIXELIS_CHECKPOINT"


@contextmanager
def settings_of(directory: Path) -> Iterator[Settings]:
    """The settings with the checkpoint in `directory`; as they were behind it."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(directory)
    settings.cache_clear()
    try:
        yield settings()
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
        settings.cache_clear()
