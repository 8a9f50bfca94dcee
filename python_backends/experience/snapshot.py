"""Generations: a whole population on disk, each with the journal of what came after it.

    <directory>/generation-00000003/   experiences.jsonl  keys.f32  asked.jsonl  asked.f32  meta.json
                                       + journal.jsonl  journal.f32

A generation appears by one rename, whole and synced; the older ones go afterwards. What a crash leaves behind is
either the old generation with its journal or the new one, never half of one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from pixelis.errors import SetupError
from pixelis.schema import Experience
from python_backends.experience.asked import Asked

_NAME = re.compile(r"generation-(\d{8})")


class Meta(BaseModel):
    """`meta.json`: what the files beside it must hold."""

    width: int
    count: int
    epoch: int
    asked: int = 0


@dataclass
class Snapshot:
    """A population as it was, and the requests that take feedback."""

    experiences: list[Experience]
    keys: NDArray[np.float32]
    epoch: int
    asked: list[Asked] = field(default_factory=list)
    asked_keys: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))


def generations(directory: Path) -> list[tuple[int, Path]]:
    """(number, path) of every whole generation, oldest first."""
    found = ((_NAME.fullmatch(path.name), path) for path in directory.glob("generation-*"))
    return sorted((int(match[1]), path) for match, path in found if match)


def write(directory: Path, number: int, snapshot: Snapshot, width: int) -> Path:
    """Write `snapshot` as generation `number` and remove the older ones."""
    final = directory / f"generation-{number:08d}"
    draft = directory / f"draft-{number:08d}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        counts = {"count": len(snapshot.experiences), "asked": len(snapshot.asked)}
        meta = Meta(width=width, epoch=snapshot.epoch, **counts)
        _synced(draft / "experiences.jsonl", _lines(snapshot.experiences))
        _synced(draft / "keys.f32", np.ascontiguousarray(snapshot.keys, np.float32).tobytes())
        _synced(draft / "asked.jsonl", _lines(snapshot.asked))
        _synced(draft / "asked.f32", np.ascontiguousarray(snapshot.asked_keys, np.float32).tobytes())
        _synced(draft / "meta.json", meta.model_dump_json().encode())
        sync_directory(draft)
        draft.rename(final)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync_directory(directory)
    for older, path in generations(directory):
        if older < number:
            shutil.rmtree(path, ignore_errors=True)
    return final


def read(path: Path, width: int) -> Snapshot:
    """The snapshot of the generation at `path`.

    Raises:
        SetupError: it was written for keys of another width, or its files do not fit each other.
    """
    try:
        meta = Meta.model_validate_json((path / "meta.json").read_bytes())
        lines = (path / "experiences.jsonl").read_bytes().splitlines()  # of bytes: U+2028 in a text ends no line
        experiences = [Experience.model_validate_json(line) for line in lines]
        raw = np.fromfile(path / "keys.f32", np.float32)
        asked, asked_raw = _asked(path, meta)
    except (OSError, ValidationError) as error:
        raise SetupError(f"The experiences in {path} cannot be read: {error}.", mend=_mend(path)) from error
    if meta.width != width:
        raise SetupError(f"The experiences in {path} have keys of width {meta.width}, not {width}.", mend=_mend(path))
    sizes = (len(experiences), raw.size, len(asked), asked_raw.size)
    if sizes != (meta.count, meta.count * width, meta.asked, meta.asked * width):
        raise SetupError(f"The files in {path} do not fit each other.", mend=_mend(path))
    return Snapshot(experiences, raw.reshape(-1, width), meta.epoch, asked, asked_raw.reshape(-1, width))


def newest_keys(directory: Path, width: int) -> NDArray[np.float32]:
    """Keys `[n, width]` of the newest generation, also while a server uses it; none where there is none.

    Raises:
        SetupError: see `read`.
    """
    found = generations(directory)
    return read(found[-1][1], width).keys if found else np.zeros((0, width), np.float32)


def sync_directory(path: Path) -> None:
    """Make the names in `path` survive a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _asked(path: Path, meta: Meta) -> tuple[list[Asked], NDArray[np.float32]]:
    """Requests and their keys; a generation of before they were kept has none."""
    if not meta.asked:
        return [], np.zeros(0, np.float32)
    lines = (path / "asked.jsonl").read_bytes().splitlines()
    return [Asked.model_validate_json(line) for line in lines], np.fromfile(path / "asked.f32", np.float32)


def _lines(objects: Sequence[BaseModel]) -> bytes:
    return "".join(one.model_dump_json() + "\n" for one in objects).encode()


def _synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _mend(path: Path) -> str:
    return f"Move {path.parent} away to start again from the seeds, or restore it from a copy."
