"""Where artifacts lie: the content-addressed build cache, and the version folders that Triton loads.

    state/builds/<key>/           an artifact that passed its gate, with its manifest (no version yet)
    state/staging/.tmp-*/         work in progress; whatever a killed build left here is removed by the next one
    repository/<model>/<n>/       a published version: artifact, model.py, manifest; n >= 2, never changed afterwards

A folder appears in its place by one rename of a finished and synced one, so a build that is killed at any moment leaves
a whole version or none. A rename needs one file system: where state and repository lie on two, staging for the
repository is `repository/.staging`. A rollback publishes an older artifact again, under the next number.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.costing.cost import Costs
from builder.storing.lock import exclusive
from builder.storing.manifest import MANIFEST, FileRecord, Manifest, records, sha256
from pixelis.draft import sync as sync_one
from pixelis.errors import BuildError, NotFound
from pixelis.json_text import loads

FIRST_VERSION = 2
"""Version 1 is the committed one: a model.py and no artifact."""
SHIM = "model.py"
NUMBERS = ".numbers.json"
"""In the repository: numbers that models had which are no longer there."""
PREFIX = ".tmp-"
LINKED = 2**28
"""Bytes from which a file of weights is in build cache and repository once, under two names: neither ever changes."""


class Store:
    """Artifacts of one repository and one state directory.

    Args:
        repository: the Triton model repository.
        state: holds the build cache and the staging area.
    """

    def __init__(self, repository: Path, state: Path) -> None:
        self.repository = repository.absolute()
        self.state = state.absolute()
        self.builds = self.state / "builds"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the repository and the state; leftovers of killed builds are gone.

        Raises:
            BuildError: another build is at work.
        """
        self.builds.mkdir(parents=True, exist_ok=True)
        with exclusive(self.builds), exclusive(self.repository):
            self._clean()
            try:
                yield
            finally:
                self._clean()

    def _clean(self) -> None:
        for area in (self.state / "staging", self.repository / ".staging"):
            for leftover in area.glob(f"{PREFIX}*"):
                shutil.rmtree(leftover, ignore_errors=True)
        fallback = self.repository / ".staging"
        if fallback.is_dir() and not any(fallback.iterdir()):
            fallback.rmdir()

    def staging(self, target: Path) -> Path:
        """A new empty folder from which `target` (its parent exists) can be reached by one rename."""
        area = self.state / "staging"
        area.mkdir(parents=True, exist_ok=True)
        if area.stat().st_dev != target.parent.stat().st_dev:
            area = self.repository / ".staging"
            area.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=area))

    def write(self, path: Path, text: str) -> None:
        """Replace a file of the repository in one step; a build that is killed leaves nothing beside it."""
        staged = self.staging(path)
        (staged / path.name).write_text(text, encoding="utf-8")
        os.replace(staged / path.name, path)
        staged.rmdir()

    def cached(self, key: str) -> Manifest | None:
        """The artifact under `key`, whole; one that is damaged is removed, and none is there."""
        directory = self.builds / key
        if not directory.is_dir():
            return None
        try:
            manifest = Manifest.read(directory)
        except BuildError:
            manifest = None
        if manifest is None or manifest.key != key or not manifest.gate.passed or manifest.faults(directory):
            self._discard(directory)
            return None
        return manifest

    def keep(self, directory: Path, key: str) -> None:
        """Move a finished artifact (with its manifest) from staging into the cache, instead of what was there."""
        target = self.builds / key
        sync(directory)
        if target.exists():
            self._discard(target)
        move(directory, target)

    def note(self, key: str, name: str, text: str) -> None:
        """Write a fact about a cached artifact into its manifest; what is published from now on carries it."""
        directory = self.builds / key
        manifest = Manifest.read(directory)
        if manifest.notes.get(name) == text:
            return
        staged = self.staging(directory / MANIFEST)
        manifest.model_copy(update={"notes": {**manifest.notes, name: text}}).write(staged)
        os.replace(staged / MANIFEST, directory / MANIFEST)
        staged.rmdir()

    def _discard(self, directory: Path) -> None:
        away = self.staging(directory) / directory.name
        os.rename(directory, away)
        shutil.rmtree(away.parent, ignore_errors=True)  # what stays is removed by the next build

    def publish(self, model: str, key: str, shimmed: bool = True) -> Manifest:
        """The cached artifact under `key` as the model's next version.

        Args:
            model: whose version it becomes.
            key: of the artifact.
            shimmed: a model.py goes beside it (not where a native backend runs it).

        Raises:
            NotFound: no such artifact.
            BuildError: the model has no version-1 shim.
        """
        cached = self.cached(key)
        if cached is None:
            raise NotFound(f"The build cache has no artifact {key[:12]} for {model}.", mend="Run `pixelis build`.")
        return self._publish(model, self.builds / key, cached, shimmed)

    def rollback(self, model: str, version: int, shimmed: bool = True) -> Manifest:
        """The artifact of an older version as the model's next version, with today's model.py beside it.

        Raises:
            NotFound: the model has no such version.
            BuildError: the version is not what was published, or must not be served.
        """
        manifest = self.manifest(model, version)
        faults = self.faults(model, version)
        if faults:
            mend = f"Name another one with --to; there are {', '.join(map(str, self.built_versions(model)))}."
            raise BuildError(f"Version {version} of {model} cannot be published again: {'; '.join(faults)}.", mend=mend)
        notes = {**manifest.notes, "rollback": f"the artifact of version {version} again"}
        return self._publish(model, self.folder(model, version), manifest.model_copy(update={"notes": notes}), shimmed)

    def _publish(self, model: str, artifact: Path, manifest: Manifest, shimmed: bool) -> Manifest:
        if not manifest.served:
            raise BuildError(
                f"{model} as {manifest.candidate.label} is not published: {manifest.gate.not_executed}.",
                mend="It is in the build cache, to be taken to a machine that runs it.",
            )
        shim = self.shim(model) if shimmed else None
        version = max([*self.versions(model), FIRST_VERSION - 1, self._spent().get(model, 0)]) + 1
        target = self.repository / model / str(version)
        staged = self.staging(target)
        ignored = shutil.ignore_patterns(SHIM, "__pycache__")
        shutil.copytree(artifact, staged, dirs_exist_ok=True, ignore=ignored, copy_function=copy)
        if shim:
            shutil.copyfile(shim, staged / SHIM)
        cost = Costs(self.state).find(manifest.key) or manifest.cost
        notes = {**manifest.notes, **({"batch_size": str(cost.batching)} if cost and cost.batching else {})}
        published = manifest.model_copy(
            update={"model": model, "version": version, "files": records(staged), "cost": cost, "notes": notes}
        )
        published.write(staged)
        staged.chmod(0o755)  # mkdtemp's 0700 would shut out a server under another user
        sync(staged)
        move(staged, target)
        return published

    def remove(self, model: str, version: int) -> None:
        """Take a version out of the repository; it is gone at once, and never half there."""
        self._discard(self.folder(model, version))

    def remove_model(self, model: str) -> None:
        """Take a model out of the repository with all its versions, its config and its shim; it is gone at once.

        Its numbers do not come again: a server that runs still has the last one loaded, and caches know it by that.
        """
        path = self.repository / NUMBERS
        spent = max([*self.versions(model), self._spent().get(model, 0)], default=0)
        self.write(path, json.dumps({**self._spent(), model: spent}) + "\n")
        self._discard(self.repository / model)

    def _spent(self) -> dict[str, int]:
        """The last number of every model that was removed; none is known where the file cannot be read."""
        try:
            return {str(name): int(number) for name, number in loads((self.repository / NUMBERS).read_bytes()).items()}
        except (OSError, ValueError, AttributeError, TypeError, OverflowError):
            return {}

    def remove_cached(self, key: str) -> None:
        """Take an artifact out of the build cache."""
        self._discard(self.builds / key)

    def shim(self, model: str) -> Path:
        """The model's committed `1/model.py`.

        Raises:
            BuildError: it is not there.
        """
        path = self.repository / model / "1" / SHIM
        if not path.is_file():
            raise BuildError(f"{path} is missing.", mend="It is committed: `git checkout model_repository`.")
        return path

    def shim_record(self, model: str) -> FileRecord:
        """Digest and size of the model's committed `1/model.py`."""
        path = self.shim(model)
        return FileRecord(sha256=sha256(path), size=path.stat().st_size)

    def versions(self, model: str) -> list[int]:
        """Numbers of the model's version folders, the committed 1 included, ascending."""
        directory = self.repository / model
        if not directory.is_dir():
            return []
        return sorted(int(p.name) for p in directory.iterdir() if p.name.isdecimal() and p.is_dir())

    def built_versions(self, model: str) -> list[int]:
        """Numbers of the versions that hold an artifact, ascending."""
        return [number for number in self.versions(model) if number >= FIRST_VERSION]

    def latest(self, model: str) -> int | None:
        """The version that Triton loads (`version_policy` latest), if it is a built one."""
        return max(self.built_versions(model), default=None)

    def folder(self, model: str, version: int) -> Path:
        """Where a version lies."""
        return self.repository / model / str(version)

    def manifest(self, model: str, version: int | None = None) -> Manifest:
        """A version's manifest; the latest one's by default.

        Raises:
            NotFound: the model has no such version.
            BuildError: the version has no readable manifest.
        """
        number = self.latest(model) if version is None else version
        if number is None or not self.folder(model, number).is_dir():
            wanted = "built version" if version is None else f"version {version}"
            raise NotFound(f"{model} has no {wanted}.", mend=f"Run `pixelis build {model}`.")
        return Manifest.read(self.folder(model, number))

    def faults(self, model: str, version: int) -> list[str]:
        """What is wrong with a published version: its manifest, its gate, its files, its shim."""
        folder = self.folder(model, version)
        try:
            manifest = Manifest.read(folder)
        except BuildError as error:
            return [error.message]
        found = manifest.faults(folder)
        if manifest.version != version or manifest.model != model:
            found.append(f"the manifest is of {manifest.model} version {manifest.version}")
        if not manifest.gate.passed:
            found.append(f"its gate did not pass: {'; '.join(manifest.gate.reasons)}")
        return found

    def whole(self, model: str, key: str) -> int | None:
        """The newest version that is whole and whose artifact was built under `key`."""
        for number in reversed(self.built_versions(model)):
            if not self.faults(model, number) and self.manifest(model, number).key == key:
                return number
        return None


def copy(source: str, target: str) -> str:
    """A copy; of a large file another name, where the file system can."""
    if os.stat(source).st_size >= LINKED and os.path.basename(source) != MANIFEST:  # that one is written anew
        try:
            os.link(source, target)
        except OSError:
            return shutil.copy2(source, target)
        return target
    return shutil.copy2(source, target)


def sync(directory: Path) -> None:
    """Put every file and folder of `directory` on the disk before its name appears anywhere."""
    for path in [*directory.rglob("*"), directory]:
        sync_one(path)


def move(source: Path, target: Path) -> None:
    """One rename within a file system, and its parent folder synced; never over something that has content."""
    os.rename(source, target)
    sync_one(target.parent)
