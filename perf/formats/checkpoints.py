"""Checkpoints that the forms are made of: the nano, a random one of about 90 million parameters, or a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.sources.checkpoint import NANO, load_model
from pixelis.errors import InvalidRequest
from pixelis.settings import settings

VARIABLE = "PIXELIS_CHECKPOINT"
RANDOM = "90m"


@dataclass(frozen=True)
class Checkpoint:
    """One of them.

    Attributes:
        name: as it was asked for, and in rows and claims.
        directory: where it lies.
        trained: whether its answers mean something, so that a task's score does.
    """

    name: str
    directory: Path
    trained: bool


def find_checkpoint(name: str, state: Path) -> Checkpoint:
    """`nano`, `90m` (made once, kept in the state folder), or a Hugging Face directory.

    Raises:
        InvalidRequest: there is no such one.
    """
    if name == "nano":
        return Checkpoint(name, NANO, trained=True)
    if name == RANDOM:
        from builder.sources.random_checkpoint import random_checkpoint

        return Checkpoint(name, random_checkpoint(state / "bench" / "checkpoints" / RANDOM), trained=False)
    directory = Path(name)
    if not (directory / "config.json").is_file():
        raise InvalidRequest(f"There is no checkpoint {name!r}.", mend="Say nano, 90m or a Hugging Face directory.")
    return Checkpoint(directory.name, directory.absolute(), trained=True)


@contextmanager
def in_use(checkpoint: Checkpoint) -> Iterator[None]:
    """The checkpoint of the settings in here, for this process and those that it starts."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(checkpoint.directory)
    _forget()
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
        _forget()


def _forget() -> None:
    settings.cache_clear()
    load_model.cache_clear()
