"""The two models of a segmenter that somebody configured (`pixelis build --segmenter`): they serve together or not."""

from __future__ import annotations

from pathlib import Path

from pixelis.json_text import loads
from python_backends.artifacts import artifact

ENCODER = "segment_encode"
DECODER = "segment_decode"
PAIR = (ENCODER, DECODER)


def is_one(repository: Path) -> bool:
    """Whether the newest versions of both were made of the same two files.

    They are published one after the other: in between, and where somebody took one of them back by hand, an embedding
    of one segmenter would go to the decoder of another.

    Raises:
        NotFound: one of them is not there.
    """
    return len({_source(artifact(repository, name)) for name in PAIR}) == 1


def _source(folder: Path) -> str:
    """The digest of both files, as the manifest of either has it; the folder where that cannot be read."""
    try:
        return str(loads((folder / "manifest.json").read_bytes())["source_digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(folder)
