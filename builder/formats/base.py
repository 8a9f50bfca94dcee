"""What every export format can do."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from builder.candidate import Candidate
from builder.sources.base import Source
from builder.tolerance import Tolerance
from pixelis.errors import BuildError, PixelisError, SetupError

if TYPE_CHECKING:
    from builder.shapes import Profile
    from python_backends.engine import Engine


@dataclass(frozen=True)
class TensorInfo:
    """One input or output as the artifact declares it.

    Attributes:
        name: its name, as Triton must call it.
        dtype: Triton's name of its type without the prefix, for instance `UINT8`.
        dims: its dimensions, the batch axis first; -1 where they vary.
    """

    name: str
    dtype: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """What an artifact says of itself.

    Attributes:
        inputs: in the graph's order.
        outputs: in the graph's order.
        nodes: operators in the graph; 0 where the format does not tell.
        parameters: numbers in the weights; 0 where the format does not tell.
        weight_bytes: bytes of the weights as they are stored; 0 where the format does not tell.
        size_bytes: size of the artifact on disk.
        opset: version of the default operator set; 0 where there is none.
        notes: facts for the manifest, for instance which attention kernel is inside.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    nodes: int = 0
    parameters: int = 0
    weight_bytes: int = 0
    size_bytes: int = 0
    opset: int = 0
    notes: dict[str, str] = field(default_factory=dict)


class Format(ABC):
    """One way to write a model down. Packages are imported when they are used.

    Attributes:
        name: as in `Candidate.format`.
        file: the artifact's main file; empty where there is no single one.
        extra: the extra of this package that installs what the format needs.
        packages: modules that must be importable, from that extra.
        not_executed: why artifacts of this format cannot run on this machine; empty = they can. What cannot run is
            held against its structure alone, is marked so in the manifest, and is never published to be served.
        profiles: shapes to build for, where a format builds for given ones; whoever knows the spec sets them.
        tolerances: what each output is held to, for a format that looks at numbers itself; set likewise.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    extra: ClassVar[str] = "build"
    packages: ClassVar[tuple[str, ...]] = ()
    not_executed: str = ""
    profiles: tuple[Profile, ...] = ()
    tolerances: Mapping[str, Tolerance] = MappingProxyType({})

    def require(self) -> None:
        """See that the packages are there.

        Raises:
            SetupError: one is not; it says which extra to install.
        """
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            raise SetupError(
                f"The format {self.name} needs {', '.join(missing)}, which is not installed.",
                mend=f"pip install 'pixelis-serving[{self.extra}]'",
            )

    def export(self, source: Source, directory: Path, candidate: Candidate) -> None:
        """Write the artifact and what serving needs beside it into `directory`.

        Raises:
            BuildError: the export failed; the message names the model, the cause and, where an operator is missing,
                the operator and the place in the source.
        """
        directory.mkdir(parents=True, exist_ok=True)
        try:
            self._export(source, directory, candidate)
        except PixelisError:
            raise
        except Exception as error:
            raise self.failure(source, candidate, error) from error
        if self.file and not (directory / self.file).is_file():
            raise BuildError(f"`{source.name}` wrote no {self.file}.", mend="Its export must write one.")

    def failure(self, source: Source, candidate: Candidate, error: Exception) -> BuildError:
        """What to say of an exception from a library; a format that can tell more (an operator, a place) does."""
        return BuildError(
            f"Exporting `{source.name}` as {candidate.label} failed: {type(error).__name__}: {str(error)[:500]}.",
            mend=f"Check the source and the versions of the packages of the extra `{self.extra}`.",
        )

    @abstractmethod
    def _export(self, source: Source, directory: Path, candidate: Candidate) -> None:
        """`export` without its care for errors."""

    @abstractmethod
    def optimise(self, directory: Path, candidate: Candidate) -> list[str]:
        """The format's own passes, in place; returns what was done, in words for the manifest."""

    @abstractmethod
    def describe(self, directory: Path) -> Description:
        """Names, types and dimensions, read from the artifact itself."""

    def load(self, directory: Path, threads: int) -> Engine:
        """The artifact in the engine that serves it.

        Raises:
            SetupError: artifacts of this format do not run here, or the executor cannot load this one.
        """
        from python_backends.engine import load_engine

        if self.not_executed:
            raise SetupError(f"A {self.name} artifact is not run here: {self.not_executed}.")
        return load_engine(directory, threads)

    def inspect(self, directory: Path) -> list[str]:
        """Faults of the structure of an artifact that cannot run here; empty = none."""
        return []
