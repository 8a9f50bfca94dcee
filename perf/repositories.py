"""A repository like another one, but for some of its files."""

from __future__ import annotations

import re
from pathlib import Path

from builder.storing.manifest import MANIFEST, Manifest, records


def linked(repository: Path, to: Path) -> Path:
    """The folders of `repository` at `to`, with links to its files."""
    for source in sorted(path for path in repository.rglob("*") if "__pycache__" not in path.parts):
        target = to / source.relative_to(repository)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.symlink_to(source.resolve())
    return to


def replaced(link: Path, text: str) -> None:
    """A file of its own with `text` in the place of a link."""
    link.unlink()
    link.write_text(text, encoding="utf-8")


def republished(version: Path) -> None:
    """A version whose files were exchanged on purpose says so in its manifest, or no server would load it."""
    if not (version / MANIFEST).exists():
        return  # code alone
    manifest = Manifest.read(version)
    (version / MANIFEST).unlink()
    own = {"model": version.parent.name, "version": int(version.name), "files": records(version)}
    manifest.model_copy(update=own).write(version)


def batching(repository: Path, to: Path, most: int | None = None, wait_ms: float | None = None) -> Path:
    """`repository` with other batching, at `to`.

    Args:
        repository: the models; their artifacts are the same.
        to: a folder that is not there yet.
        most: requests of a batch, at most, of every model that batches; none = as it is.
        wait_ms: how long every model waits for company; none = as it is.
    """
    for config in sorted(linked(repository, to).glob("*/config.pbtxt")):
        text = config.read_text(encoding="utf-8")
        if most is not None:
            text = re.sub(r"(?m)^max_batch_size: [1-9]\d*$", f"max_batch_size: {most}", text)
        if wait_ms is not None:
            text = re.sub(
                r"max_queue_delay_microseconds: \d+", f"max_queue_delay_microseconds: {1e3 * wait_ms:.0f}", text
            )
        replaced(config, text)
    return to
