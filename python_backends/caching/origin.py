"""Which models, and which settings, a value was made by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pixelis import __version__
from pixelis.errors import PixelisError
from python_backends.artifacts import latest
from python_backends.caching.canonical import feed
from python_backends.caching.key import split

READ = ("characters.json", "config.json", "dialect.yaml", "generation_config.json", "pixelis.json", "tokenizer.json")
"""Files of an artifact that the processes of other models read."""


@dataclass(frozen=True)
class Origin:
    """What a value was made by.

    Attributes:
        versions: model -> version.
        digest: over their manifests, what this process has read of their artifacts, the settings that matter, and our
            own version: a version's number alone comes again where a repository is built anew.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""


def _served(model: str, version: str) -> bool:
    return True


class Origins:
    """The origins of what is made now. For any number of threads.

    A version may lie in the repository for a while before the server has loaded it: until then it is not known who
    answers, so there is no origin, and nothing is to be cached.

    Args:
        repository: the models'.
        served: whether a version of a model is ready; asked until it once is.
    """

    def __init__(self, repository: Path, served: Callable[[str, str], bool] = _served) -> None:
        self._repository, self._served = repository, served
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, str]] = {}
        self._read: dict[str, str] = {}
        self._used: set[tuple[str, ...]] = set()

    def reads(self, model: str, directory: Path) -> Path:
        """This process goes on by what it reads of an artifact now, whichever version answers later.

        A tokenizer, for instance: with a version that has another one, this process and one that starts afterwards
        make different things, and neither may take the other's for its own.

        Args:
            model: whose artifact it is.
            directory: its version folder.

        Returns:
            `directory`.
        """
        hashed = blake2b(digest_size=16)
        for name in READ:
            path = directory / name
            feed(hashed.update, [name, path.read_bytes() if path.exists() else None])
        with self._lock:
            self._read[model] = hashed.hexdigest()
        return directory

    def of(self, models: Sequence[str], *configuration: Any) -> Origin | None:
        """The origin of what these models make together, if it is certain.

        Args:
            models: all that the value depends on.
            configuration: settings that it depends on, as plain data.
        """
        found = {model: self._version(model) for model in models}
        hashed = blake2b(digest_size=16)
        with self._lock:
            read = [self._read.get(model) for model in models]
        feed(hashed.update, [__version__, [one[1] for one in found.values() if one], read, list(configuration)])
        if None in found.values():
            return None
        return Origin({model: one[0] for model, one in found.items() if one}, hashed.hexdigest())

    def using(self, models: tuple[str, ...]) -> tuple[str, ...]:
        """Models that a repository may do without: all of them from when all are first served, none before.

        From then on values depend on them, also while it is not certain which version of them answers, until one is no
        longer in the repository.
        """
        present = all(self._holds(model) for model in models)
        with self._lock:
            if not present:
                self._used.discard(models)
            used = models in self._used
        if present and not used and self.of(models) is not None:
            with self._lock:
                self._used.add(models)
            used = True
        return models if used else ()

    def still(self, versions: str) -> bool:
        """Whether values of these (`Key.versions`) are still asked for: each model's is its newest."""
        for model, version in split(versions):
            try:
                if latest(self._repository, model).name != version:
                    return False
            except PixelisError:
                return False
        return True

    def _holds(self, model: str) -> bool:
        try:
            return bool(latest(self._repository, model))
        except PixelisError:
            return False

    def _version(self, model: str) -> tuple[str, str] | None:
        """The version of a model that answers, and the digest of its manifest (empty where it has none)."""
        try:
            folder = latest(self._repository, model)
        except PixelisError:
            return None
        with self._lock:
            known = self._known.get(model)
        if known is not None and known[0] == folder.name:
            return known
        if not self._served(model, folder.name):
            return None
        try:
            manifest = (folder / "manifest.json").read_bytes()
        except OSError:
            manifest = b""
        found = folder.name, blake2b(manifest, digest_size=16).hexdigest()
        with self._lock:
            self._known[model] = found
        return found
