"""Where a served model's files lie: the highest numeric version folder of its directory in the repository."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pixelis.errors import NotFound
from pixelis.published import MANIFEST

ANY_VERSION = -1
"""Triton's word for the version that is served."""


def latest(repository: Path, model: str) -> Path:
    """The folder of the version of `model` that Triton serves under `version_policy: latest(1)`.

    Raises:
        NotFound: the repository has no such model, or the model has no version folder.
    """
    folder = repository / model
    found = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()] if folder.is_dir() else []
    if not found:
        raise NotFound(
            f"Model `{model}` has no version in the repository `{repository.name}`.",
            mend=f"Build it with `pixelis build {model}`.",
        )
    return max(found, key=lambda path: int(path.name))


def artifact(repository: Path, model: str) -> Path:
    """As `latest`, where the caller needs what was built and not only `model.py`.

    Raises:
        NotFound: as `latest`, or the newest version holds no `manifest.json`.
    """
    folder = latest(repository, model)
    if not (folder / MANIFEST).exists():
        raise NotFound(f"Model `{model}` is not built.", mend=f"Build it with `pixelis build {model}`.")
    return folder


def versions(repository: Path, models: Iterable[str]) -> dict[str, str]:
    """Model -> version for those of `models` that the repository holds."""
    found: dict[str, str] = {}
    for model in models:
        try:
            found[model] = latest(repository, model).name
        except NotFound:
            continue  # an absent model shows as absent from the result's `versions`
    return found
