"""The checkpoints of a repository: the default one, and others by name.

policy, vision_encoder              of the default checkpoint, which has no name in `OPTIONS`
policy.NAME, vision_encoder.NAME    of another one: `pixelis build --checkpoint DIR --name NAME`
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pixelis.errors import InvalidRequest, NotFound
from python_backends.artifacts import artifact

T = TypeVar("T")

POLICY, ENCODER = "policy", "vision_encoder"
PAIR = (POLICY, ENCODER)
"""The models that are made of a checkpoint."""

DEFAULT = "default"
"""What the checkpoint without a name is called where a word is needed: in metrics, in messages."""

NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
_NAME = re.compile(NAME)


def is_name(text: str) -> bool:
    """Whether a checkpoint may be called so."""
    return text != DEFAULT and _NAME.fullmatch(text) is not None


def models_of(name: str | None) -> tuple[str, str]:
    """The policy and the vision encoder of a checkpoint; none = of the default one."""
    return (POLICY, ENCODER) if name is None else (f"{POLICY}.{name}", f"{ENCODER}.{name}")


def names(repository: Path) -> list[str]:
    """The named checkpoints of which both models are published, in order."""
    found = [path.name.partition(".")[2] for path in repository.glob(f"{POLICY}.*") if path.is_dir()]
    return sorted(name for name in found if is_name(name) and _whole(repository, name))


def _whole(repository: Path, name: str) -> bool:
    try:
        return all(artifact(repository, model) for model in models_of(name))
    except NotFound:
        return False


def known(repository: Path, name: str | None) -> None:
    """Raises `InvalidRequest` where the repository has no such checkpoint; it lists those that there are."""
    if name is None or (is_name(name) and _whole(repository, name)):
        return
    there = names(repository)
    mend = f"There are {', '.join(there)}; without `model` the default one answers." if there else "Leave `model` out."
    raise InvalidRequest(f"There is no checkpoint {name!r} on this server.", mend=mend)


class OfCheckpoint(Generic[T]):
    """What a process makes of each checkpoint's policy artifact: read when first asked for, and again when another
    version is served. For any number of threads.

    A version that lies in the repository and is not loaded yet is not read while an older one answers.

    Args:
        repository: the models'.
        make: of a checkpoint's name (none = the default one) and the folder of its policy's version.
        ready: whether a version of a model is loaded.
    """

    def __init__(
        self, repository: Path, make: Callable[[str | None, Path], T], ready: Callable[[str, str], bool]
    ) -> None:
        self._repository, self._make, self._ready = repository, make, ready
        self._lock = threading.Lock()
        self._made: dict[str | None, tuple[Path, T]] = {}

    def __call__(self, name: str | None = None) -> T:
        """What was made of the version that answers.

        Raises:
            InvalidRequest: there is no such checkpoint.
            NotFound: the default one is not built.
        """
        known(self._repository, name)
        model, _ = models_of(name)
        newest = artifact(self._repository, model)
        with self._lock:
            held = self._made.get(name)
            if held is not None and (held[0] == newest or self._stays(model, held[0], newest)):
                return held[1]
            made = self._make(name, newest)
            self._made[name] = newest, made
            return made

    def _stays(self, model: str, held: Path, newest: Path) -> bool:
        """Whether the version that was read goes on answering: the newest is not loaded, and it is."""
        return held.is_dir() and not self._ready(model, newest.name) and self._ready(model, held.name)
