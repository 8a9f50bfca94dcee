"""The format of models whose artifact is not one graph: the source writes the files, nobody rewrites them."""

from __future__ import annotations

from pathlib import Path

from builder.candidate import Candidate
from builder.formats.base import Description, Format
from builder.sources.base import Source
from pixelis.errors import BuildError


class FilesFormat(Format):
    """Whatever the source writes."""

    name = "files"
    file = ""

    def _export(self, source: Source, directory: Path, candidate: Candidate) -> None:
        """What the source writes, and at least one file."""
        source.export_onnx(directory)
        if not any(directory.iterdir()):
            raise BuildError(f"`{source.name}` wrote no file.", mend="Its export_onnx must write what is served.")

    def optimise(self, directory: Path, candidate: Candidate) -> list[str]:
        """Nothing: the source knows what it wrote."""
        return []

    def describe(self, directory: Path) -> Description:
        """The size alone: there is no single graph to read."""
        size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
        return Description(inputs=(), outputs=(), size_bytes=size)
