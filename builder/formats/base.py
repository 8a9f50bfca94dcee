"""What every export format can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from builder.sources.base import Source


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
        nodes: operators in the graph.
        parameters: numbers in the weights.
        size_bytes: size of the artifact on disk.
        opset: version of the default operator set.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    nodes: int
    parameters: int
    size_bytes: int
    opset: int


class Format(ABC):
    """One way to write a model down."""

    name: ClassVar[str]
    file: ClassVar[str]

    @abstractmethod
    def export(self, source: Source, directory: Path) -> None:
        """Write the artifact and what serving needs beside it into `directory`.

        Raises:
            BuildError: the export failed; the message names the model and the cause.
        """

    @abstractmethod
    def optimise(self, directory: Path) -> list[str]:
        """Simplify the artifact in place; returns what was done, in words for the manifest."""

    @abstractmethod
    def describe(self, directory: Path) -> Description:
        """Names, types and dimensions, read from the artifact itself."""
