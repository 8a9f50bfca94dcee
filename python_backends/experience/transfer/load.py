"""Into a directory that nobody else has open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pixelis.errors import InvalidRequest, PixelisError
from python_backends.experience.admission import complete, storable
from python_backends.experience.store import ExperienceStore
from python_backends.experience.transfer.files import Format
from python_backends.experience.transfer.row import Row

GROUP = 500
"""Experiences of one commit."""


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        added: experiences that were not there.
        known: experiences whose id was there already; they stay as they are.
        evicted: experiences that went, for the capacity.
        count: experiences now.
    """

    added: int
    known: int
    evicted: int
    count: int


def load(store: ExperienceStore, path: Path, how: Format, tenant: str | None = None) -> Imported:
    """Put the experiences of a file in, under their ids, counters and ages included.

    Each becomes its own tenant's; with `tenant`, all become that one's, empty = shared.

    The whole file is checked before anything is written. What is interrupted can be begun again: what is there already
    is passed over.

    Raises:
        InvalidRequest: the file holds something that is no experience, a key that does not fit, or an id twice.
        Unavailable: not all could be written; those of earlier groups are there.
    """
    try:
        _check(store, _of(tenant, how.read(path)))
        before, added, known = len(store), 0, 0
        rows = _of(tenant, how.read(path))
        while group := list(islice(rows, GROUP)):
            with store.together():
                for row in group:
                    if store.holds(row.experience.experience_id):
                        known += 1
                    else:
                        store.insert(row.experience, row.key, merge=False)
                        added += 1
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.", mend="Name a file of an export.") from error
    return Imported(added, known, before + added - len(store), len(store))


def _of(tenant: str | None, rows: Iterator[Row]) -> Iterator[Row]:
    for experience, key in rows:
        yield Row(experience if tenant is None else experience.model_copy(update={"tenant": tenant}), key)


def _check(store: ExperienceStore, rows: Iterator[Row]) -> None:
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        try:
            storable(row.key, store.width)
            complete(row.experience)
            if row.experience.experience_id in seen:
                raise InvalidRequest(f"The id {row.experience.experience_id!r} is there twice.")
        except PixelisError as error:
            raise InvalidRequest(f"Experience {number} of the file: {error.message}", mend=error.mend) from error
        if row.experience.experience_id:
            seen.add(row.experience.experience_id)
