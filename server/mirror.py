"""A repository that is never written, served through a folder of links.

To load a model again Triton must see a newer `model.py` (see `repair.py`), and Python leaves its bytecode beside it.
Where the repository is mounted read-only, or belongs to somebody else, both happen in a copy: folders are made, what
is small and text is copied, artifacts are links. It is made anew at every start, so a start takes up new versions.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pixelis.errors import SetupError

COPIED = (".py", ".pbtxt")


def mirror(repository: Path, folder: Path) -> Path:
    """`repository` as copies and links in `folder`, whose content before is removed.

    Raises:
        SetupError: there is no repository, or the folder cannot be written.
    """
    if not repository.is_dir():
        mend = "Name it with --repository or PIXELIS_REPOSITORY."
        raise SetupError(f"There is no model repository at {repository}.", mend=mend)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        for path in sorted(repository.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                _put(path, folder / path.relative_to(repository))
    except OSError as error:
        mend = "Make the state folder writable, or name another one in PIXELIS_STATE."
        raise SetupError(f"{repository} cannot be linked into {folder}: {error.strerror}.", mend=mend) from None
    return folder


def _put(path: Path, there: Path) -> None:
    there.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in COPIED:
        shutil.copyfile(path, there)
    else:
        there.symlink_to(path.resolve())
