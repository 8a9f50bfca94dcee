"""Holds what a server is about to load against its manifests, before Triton runs any of it.

Each model's process holds its own version again as it loads (`python_backends/adapter/model.py`): that is for who
loads by Triton's own API, and costs a look at each file. Here it is for what a process cannot see any more once it
runs: its `model.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixelis import integrity
from pixelis.errors import IntegrityError
from pixelis.integrity import Verdict
from server.repository import Model, scan


def verify(model: Model, state: Path | None) -> Verdict:
    """The version of `model` that would be served.

    Args:
        model: whose.
        state: where it is remembered what was verified; none = everything is read.

    Raises:
        IntegrityError: it is not what was published.
    """
    if model.version is None:
        return Verdict()
    return integrity.verify(model.folder / str(model.version), state, needed=model.built)


def verify_all(models: Sequence[Model], state: Path | None) -> None:
    """As `verify`, for several; raises once, about all that are not what was published."""
    wrong = []
    for model in models:
        try:
            verify(model, state)
        except IntegrityError as error:
            wrong.append(error)
    if wrong:
        raise IntegrityError(" ".join(error.message for error in wrong), mend=wrong[0].mend)


def verify_named(repository: Path, name: str, state: Path | None) -> None:
    """As `verify`, for a model that is known by name; one that is not there is left to Triton to tell."""
    if (repository / name / "config.pbtxt").is_file():
        verify(scan(repository, [name])[0], state)
