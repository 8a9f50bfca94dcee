"""The one record of an artifact: `manifest.json` beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from builder.candidate import Candidate, FormatName, Quantization
from builder.costing.cost import Cost
from builder.formats.base import TensorInfo
from builder.gate import Verdict
from builder.optimization import OptimizationConfig
from builder.tolerance import Precision
from pixelis import integrity, published
from pixelis.errors import BuildError, IntegrityError
from pixelis.published import MANIFEST, FileRecord
from pixelis.published import digest as sha256

__all__ = ["MANIFEST", "FileRecord", "Manifest", "TensorRecord", "records", "sha256"]


class TensorRecord(BaseModel):
    """An input or output as the artifact itself declares it, batch axis first; -1 varies."""

    model_config = ConfigDict(extra="forbid")

    name: str
    dtype: str
    dims: list[int]

    @classmethod
    def of(cls, tensor: TensorInfo) -> TensorRecord:
        """What a format's `describe` said."""
        return cls(name=tensor.name, dtype=tensor.dtype, dims=list(tensor.dims))


class Manifest(BaseModel):
    """Source -> builder and libraries -> artifact -> what the gate measured.

    Attributes:
        version: the version folder's number; none while the artifact lies in the build cache.
        key: content address of the build: everything that it depends on.
        source_digest: sha-256 of weights and code that the artifact was made of.
        builder: version of this package; `builder_digest` is the sha-256 of the code that exports and judges.
        optimisations: the format's own passes, as they went.
        weight_bytes: bytes of the weights as they are stored; 0 where the format does not tell.
        notes: further facts, for instance the attention kernel inside, or why a candidate was chosen.
        files: every file of the folder but this one, by relative path.
        created_at: seconds since the epoch at which the artifact was made.
        seconds: how long each stage took.
        cost: what was measured of it on the machine that published it; none where nothing was.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)  # JSON has no such numbers to write

    model: str
    version: int | None = None
    key: str
    format: FormatName
    precision: Precision
    quantization: Quantization = "none"
    optimization: OptimizationConfig = Field(default_factory=OptimizationConfig)
    source: str
    source_digest: str
    builder: str
    builder_digest: str
    libraries: dict[str, str]
    optimisations: list[str] = Field(default_factory=list)
    inputs: list[TensorRecord] = Field(default_factory=list)
    outputs: list[TensorRecord] = Field(default_factory=list)
    nodes: int = 0
    parameters: int = 0
    weight_bytes: int = 0
    notes: dict[str, str] = Field(default_factory=dict)
    files: dict[str, FileRecord]
    gate: Verdict
    created_at: float
    seconds: dict[str, float] = Field(default_factory=dict)
    cost: Cost | None = None

    @property
    def candidate(self) -> Candidate:
        """The form that it is in."""
        return Candidate.of(self)

    @property
    def served(self) -> bool:
        """Whether it ran on the machine that judged it; what did not is never served."""
        return not self.gate.not_executed

    @property
    def digest(self) -> str:
        """sha-256 over the artifact's files (without model.py, which is the repository's, not the artifact's)."""
        h = hashlib.sha256()
        for name, record in sorted(self.files.items()):
            if name != "model.py":
                h.update(f"{name}\0{record.sha256}\n".encode())
        return h.hexdigest()

    @property
    def size_bytes(self) -> int:
        """Size of all files."""
        return sum(record.size for record in self.files.values())

    def write(self, directory: Path) -> None:
        """Write `manifest.json` into `directory`."""
        text = published.sealed(json.loads(self.model_dump_json()))
        (directory / MANIFEST).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """The manifest in `directory`.

        Raises:
            BuildError: there is none, or it is not one.
        """
        return cls.read_file(directory / MANIFEST)

    @classmethod
    def read_file(cls, path: Path) -> Manifest:
        """The manifest in a file of another name; raises as `read` does."""
        try:
            return cls.model_validate(published.read(path))
        except IntegrityError as error:
            raise BuildError(error.message, mend=error.mend) from None
        except ValidationError as error:
            where, reason = "/".join(path.parts[-3:]), str(error).splitlines()[0]
            raise BuildError(f"{where} is not a manifest: {reason}.", mend="Run `pixelis build`.") from None

    def faults(self, directory: Path) -> list[str]:
        """What in `directory` is not as this manifest says: missing, changed and surplus files."""
        return integrity.faults(directory, self.files)


def records(directory: Path) -> dict[str, FileRecord]:
    """Every file of `directory` but the manifest, by relative path."""
    return {
        str(path.relative_to(directory)): FileRecord(sha256=sha256(path), size=path.stat().st_size)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
