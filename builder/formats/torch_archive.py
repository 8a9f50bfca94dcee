"""PyTorch's archives are zip files; this leaves out what names paths of the machine that wrote them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

Edit = Callable[[str, bytes], bytes | None]
"""Name and content of an entry to its new content; none = the entry is left out."""


def without_sources(path: Path) -> None:
    """Drop the lines of source by operator: for a debugger, and they name this machine's paths."""
    rewrite(path, lambda name, content: None if name.endswith(".debug_pkl") else content)


def rewrite(path: Path, edit: Edit) -> None:
    """Write the archive again, uncompressed as PyTorch has it, with every entry as `edit` wants it."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            wanted = edit(name, content)
            if wanted is not None:
                archive.writestr(zipfile.ZipInfo(name), wanted)  # its time is fixed: 1980
