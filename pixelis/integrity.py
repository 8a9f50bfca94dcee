"""Is a version folder what was published: its files against the digests of its manifest.

Held before a server starts, before it loads a model again, by every model's process as it loads, and by `pixelis lint`
and `pixelis models verify`.

    missing, changed     a file of the manifest that is not there, or holds something else
    surplus              a file that the manifest does not name; Python's own caches are none
    another place        a manifest of another model or version

Links are followed: what counts is what is read through them. A folder without a manifest is code alone and passes,
unless its model is one that is built (`needed`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pixelis.errors import IntegrityError
from pixelis.published import MANIFEST, FileRecord, Published, digest, mend
from pixelis.verified import Verified

_CACHES = "__pycache__"


@dataclass(frozen=True)
class Verdict:
    """A folder that is what was published.

    Attributes:
        size: bytes of its files.
        hashed: bytes that were read for it now; the others were known.
    """

    size: int = 0
    hashed: int = 0


def verify(folder: Path, state: Path | None = None, *, needed: bool = False) -> Verdict:
    """Hold the version in `folder` against its manifest.

    Args:
        folder: `<repository>/<model>/<version>`.
        state: where it is remembered what was verified; none = everything is read.
        needed: without a manifest it must not be served.

    Raises:
        IntegrityError: it is something else, with the file and both digests.
    """
    model, version = folder.parent.name, folder.name
    if not os.path.lexists(folder / MANIFEST) and not needed:
        return Verdict()
    manifest = Published.read(folder)
    wrong = []
    if (manifest.model, str(manifest.version)) != (model, version):
        wrong.append(f"its manifest is of {manifest.model} version {manifest.version}")
    seen = Verified.of(folder, state)
    wrong += faults(folder, manifest.files, seen)
    seen.keep()
    if wrong:
        message = f"Version {version} of {model} is not what was published: {'; '.join(wrong)}."
        raise IntegrityError(message, mend=mend(model))
    return Verdict(sum(record.size for record in manifest.files.values()), seen.hashed)


def faults(folder: Path, files: Mapping[str, FileRecord], seen: Verified | None = None) -> list[str]:
    """What of `folder` is not as its manifest says, a sentence each without a full stop."""
    seen = seen or Verified.of(folder, None)
    found = [fault for name, record in files.items() if (fault := _fault(folder, name, record, seen)) is not None]
    return found + [f"{name} is not in the manifest" for name in sorted(_present(folder, files) - files.keys())]


def _fault(folder: Path, name: str, record: FileRecord, seen: Verified) -> str | None:
    path = folder / name
    try:
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):
            return f"{name} is no file"
        known = seen.digest(name, before)
        made = known or digest(path)
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"
    if made != record.sha256:
        return f"{name} is not the file that was published: its sha256 is {made}, the manifest says {record.sha256}"
    if known is None:
        seen.note(name, before, path.stat(), made)
    return None


def _present(folder: Path, files: Mapping[str, FileRecord]) -> set[str]:
    """Everything in `folder` that is no folder, and links to folders that hold none of `files`."""
    inner = {str(parent) for name in files for parent in Path(name).parents}
    return {name for name in _entries(folder) if name != MANIFEST and name not in inner}


def _entries(folder: Path) -> Iterator[str]:
    for root, folders, names in os.walk(folder):  # follows no link to a folder, so that it ends
        folders[:] = [name for name in folders if name != _CACHES]
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        yield from (os.path.relpath(os.path.join(root, name), folder) for name in [*names, *links])


def open_to_all(folder: Path) -> list[str]:
    """Of `folder` and what is in it, what every user of the machine may write."""
    here = [folder, *(folder / name for name in _entries(folder))]
    return [str(path) for path in here if not path.is_symlink() and path.stat().st_mode & stat.S_IWOTH]
