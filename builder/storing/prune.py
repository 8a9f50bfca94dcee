"""Old versions and unused cache entries go; what serves, and what is held, stays."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from builder.named.specs import in_repository
from builder.pipeline import Pipeline
from builder.spec import pipeline
from builder.store import Store
from builder.storing.chosen import Chosen
from builder.storing.disk import typed
from builder.storing.manifest import Manifest
from pixelis.errors import BuildError, PixelisError
from pixelis.settings import settings


class Removed(BaseModel):
    """One thing that went, or would go."""

    model: str
    version: int | None = None
    key: str | None = None
    size_bytes: int


class Pruned(BaseModel):
    """Everything that went.

    Attributes:
        kept: versions that stayed, by model.
    """

    removed: list[Removed]
    kept: dict[str, list[int]]
    dry_run: bool

    @property
    def freed_bytes(self) -> int:
        """Bytes that are free now."""
        return sum(one.size_bytes for one in self.removed)


def prune(
    models: Sequence[str] = (),
    keep: int = 3,
    *,
    cache: bool = False,
    dry_run: bool = False,
    repository: Path | None = None,
    state: Path | None = None,
    spec: Pipeline | None = None,
) -> Pruned:
    """Remove all but the newest `keep` versions of `models` (default: all).

    The newest version, which Triton loads, always stays, and so do all versions of an artifact that is held or chosen.

    Args:
        models: names.
        keep: how many versions of each stay, at least 1.
        cache: also remove artifacts of the build cache that no version of the repository is made of; with `models`,
            theirs alone.
        dry_run: remove nothing and tell what would go.
        repository: default: the settings'.
        state: default: the settings'.
        spec: the pipeline; default: `builder.spec.pipeline()`.

    Raises:
        NotFound: a name that the pipeline does not know.
        BuildError: another build is at work, or `keep` is less than 1.
    """
    if keep < 1:
        raise BuildError("The version that serves always stays.", mend="Name a --keep of at least 1.")
    store = Store(repository or settings().repository, state or settings().state)
    known = in_repository(spec or pipeline(), store)
    names = [known[name].name for name in models] or list(known.names)
    with store.locked(), typed("pruning"):
        chosen = Chosen(store.repository, store.state).all()
        keys = {choice.key for choice in chosen.values() if choice.key}
        old = {name: _old(store, name, keep, keys) for name in names}
        removed = [_version(store, name, number) for name in names for number in old[name]]
        kept = {name: [n for n in store.built_versions(name) if n not in old[name]] for name in names}
        if cache:
            gone = {(name, number) for name in names for number in old[name]}
            removed += _unused(store, gone, keys, names if models else None)
        for one in () if dry_run else removed:
            if one.version is not None:
                store.remove(one.model, one.version)
            elif one.key is not None:
                store.remove_cached(one.key)
    return Pruned(removed=removed, kept={name: numbers for name, numbers in kept.items() if numbers}, dry_run=dry_run)


def _version(store: Store, model: str, number: int) -> Removed:
    return Removed(model=model, version=number, size_bytes=_size(store.folder(model, number)))


def _old(store: Store, model: str, keep: int, keys: set[str]) -> list[int]:
    """Versions beyond the newest `keep` whose artifact nobody chose."""
    found = []
    for number in store.built_versions(model)[:-keep]:
        try:
            if store.manifest(model, number).key in keys:
                continue
        except PixelisError:
            pass  # unreadable, so it can be published by nothing
        found.append(number)
    return found


def _unused(store: Store, gone: set[tuple[str, int]], keys: set[str], names: list[str] | None) -> list[Removed]:
    used = keys | _in_use(store, gone)
    found = []
    for directory in sorted(path for path in store.builds.iterdir() if path.is_dir()):
        model = _model(directory)
        if directory.name not in used and (names is None or model in names):
            found.append(Removed(model=model or "?", key=directory.name, size_bytes=_size(directory)))
    return found


def _in_use(store: Store, gone: set[tuple[str, int]]) -> set[str]:
    """Keys of the artifacts of every version that stays, of models that the pipeline no longer knows too."""
    found = set()
    for model in (path.name for path in store.repository.iterdir() if path.is_dir()):
        for number in store.built_versions(model):
            if (model, number) not in gone:
                with suppress(PixelisError):
                    found.add(store.manifest(model, number).key)
    return found


def _model(directory: Path) -> str | None:
    """Whose artifact a cache entry is; none where it cannot be read."""
    try:
        return Manifest.read(directory).model
    except PixelisError:
        return None


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
