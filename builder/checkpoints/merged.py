"""Where a checkpoint with an adapter in it lies, so that it is merged once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from builder.checkpoints.lora import merge_adapter


def merged(base: Path, adapter: Path, state: Path) -> Path:
    """The merged checkpoint in `state/merged/`, written there unless it is there already.

    Args:
        base: Hugging Face directory.
        adapter: PEFT directory.
        state: the state directory.

    Raises:
        BuildError: see `merge_adapter`.
    """
    h = hashlib.sha256()
    for directory in (base, adapter):
        for path in sorted(directory.iterdir()):
            if path.is_file():
                stat = path.stat()
                h.update(f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    destination = state.absolute() / "merged" / h.hexdigest()[:32]
    return destination if destination.is_dir() else merge_adapter(base, adapter, destination).directory
