"""`manifest.json` as every room reads it: what a published version consists of, and whether the record itself is whole.

The builder writes more into it (`builder/storing/manifest.py`); whoever serves needs the files. Around the builder's
fields lie two of the file's own:

    schema_version   of the layout; a file without one is of the first, and has no seal
    seal             sha-256 of everything else, so that a damaged record is not taken for a damaged artifact

The seal shows damage. It is no signature: who may write the folder can write another one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pixelis.errors import IntegrityError
from pixelis.json_text import loads, reason

MANIFEST = "manifest.json"
SCHEMA = 2
"""The newest layout that this code reads, and the one that it writes."""


class FileRecord(BaseModel):
    """A file of the artifact."""

    model_config = ConfigDict(extra="forbid")

    sha256: str
    size: int


class Published(BaseModel):
    """What a manifest says of its folder.

    Attributes:
        model: whose version it is.
        version: the folder's number; none in the build cache.
        files: every file of the folder but the manifest, by relative path.
    """

    model: str
    version: int | None = None
    files: dict[str, FileRecord]

    @classmethod
    def read(cls, folder: Path) -> Published:
        """The manifest in `folder`.

        Raises:
            IntegrityError: there is none, it is none, it is damaged, or a newer version of this project wrote it.
        """
        try:
            return cls.model_validate(read(folder / MANIFEST))
        except ValidationError as error:
            raise _no_manifest(folder / MANIFEST, str(error).splitlines()[0]) from None


def sealed(fields: dict[str, Any]) -> str:
    """The text of a manifest with these fields."""
    whole = {"schema_version": SCHEMA, **fields}
    return json.dumps({**whole, "seal": _seal(whole)}, indent=2, ensure_ascii=False) + "\n"


def read(path: Path) -> dict[str, Any]:
    """The fields of the manifest in a file, without those of the file itself; raises as `Published.read` does."""
    where, model = _where(path), path.parent.parent.name
    try:
        fields = loads(path.read_bytes())
    except FileNotFoundError:
        raise IntegrityError(f"{model}/{path.parent.name} has no {path.name}.", mend=mend(model)) from None
    except (OSError, ValueError) as error:
        raise _no_manifest(path, reason(error)) from None
    if not isinstance(fields, dict):
        raise _no_manifest(path, "it is no object")
    schema, seal = fields.get("schema_version", 1), fields.pop("seal", None)
    if not isinstance(schema, int):
        raise _no_manifest(path, f"its schema_version is {schema!r}")
    if schema > SCHEMA:
        raise IntegrityError(
            f"{where} is of layout {schema}; this version of pixelis knows them up to {SCHEMA}.",
            mend="Use the version that wrote it or a later one, or build the model again with this one.",
        )
    if (schema > 1 or seal is not None) and seal != (made := _seal(fields)):
        raise IntegrityError(
            f"{where} is not the file that was published: the sha256 of what it says is {made}, its seal is {seal}.",
            mend=mend(model),
        )
    fields.pop("schema_version", None)
    return fields


def digest(path: Path) -> str:
    """Hexadecimal sha-256 of a file."""
    with path.open("rb") as file:
        h, block = hashlib.sha256(), memoryview(bytearray(2**20))
        while size := file.readinto(block):
            h.update(block[:size])
        return h.hexdigest()


def mend(model: str) -> str:
    """What to do about a version that is not what was published."""
    return (
        f"`pixelis models rollback {model}` serves the artifact before it, `pixelis build {model}` makes it again; "
        "PIXELIS_SERVER__VERIFY=false serves it as it is."
    )


def _seal(fields: dict[str, Any]) -> str:
    plain = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def _no_manifest(path: Path, reason: str) -> IntegrityError:
    return IntegrityError(f"{_where(path)} is not a manifest: {reason}.", mend=mend(path.parent.parent.name))


def _where(path: Path) -> str:
    """The last parts of a path: model, version and file."""
    return "/".join(path.parts[-3:])
