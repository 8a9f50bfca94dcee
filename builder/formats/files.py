"""The format of models whose artifact is not one graph: the source writes the files, nobody rewrites them."""

from __future__ import annotations

from pathlib import Path

from builder.formats.base import Description, Format
from builder.sources.base import Source
from pixelis.errors import BuildError


class FilesFormat(Format):
    """Whatever the source writes."""

    name = "files"
    file = ""

    def export(self, source: Source, directory: Path) -> None:
        """What the source writes, and at least one file.

        Raises:
            BuildError: it wrote none.
        """
        directory.mkdir(parents=True, exist_ok=True)
        source.export_onnx(directory)
        if not any(directory.iterdir()):
            raise BuildError(f"`{source.name}` wrote no file.", mend="Its export_onnx must write what is served.")

    def optimise(self, directory: Path) -> list[str]:
        """Nothing: the source knows what it wrote."""
        return []

    def describe(self, directory: Path) -> Description:
        """The size alone: there is no single graph to read."""
        size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
        return Description(inputs=(), outputs=(), nodes=0, parameters=0, size_bytes=size, opset=0)
