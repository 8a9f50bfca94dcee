"""Versions appear whole, by one rename, whatever happens in between."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

import builder.store
from builder.store import Store
from builder.storing.manifest import Manifest, records
from pixelis.errors import BuildError, NotFound
from tests.builder.conftest import Place


def test_every_moment_to_die_at(built: Place) -> None:
    """Publishing is killed at each of its system calls in turn, until one run gets through."""
    key, store = built.store.manifest("alpha").key, built.store
    moments = 0
    while publish_and_die(built, key, moments):
        assert store.versions("alpha") in ([1, 2], [1, 2, 3])
        for version in store.versions("alpha")[1:]:
            assert not store.faults("alpha", version)
        shutil.rmtree(store.folder("alpha", 3), ignore_errors=True)
        moments += 1
    assert moments >= 6, "fsync of each file and folder, the rename, fsync of the parent"
    assert store.versions("alpha") == [1, 2, 3]
    with store.locked():
        assert not built.leftovers()


def publish_and_die(place: Place, key: str, after: int) -> bool:
    """Publish in a child that gets SIGKILL at its system call number `after`; whether it did."""
    child = os.fork()
    if child == 0:
        try:
            _publish_until(place, key, after)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _publish_until(place: Place, key: str, left: int) -> None:
    def deadly(call: Any) -> Any:
        def wrapped(*args: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return call(*args, **options)

        return wrapped

    os.fsync, os.rename, shutil.copyfile = deadly(os.fsync), deadly(os.rename), deadly(shutil.copyfile)
    place.store.publish("alpha", key)


def test_numbers_start_at_two_and_never_go_back(built: Place) -> None:
    store, key = built.store, built.store.manifest("alpha").key
    assert [store.publish("alpha", key).version for _ in range(2)] == [3, 4]
    shutil.rmtree(store.folder("alpha", 3))
    assert store.publish("alpha", key).version == 5
    (store.repository / "alpha" / "notes").mkdir()
    assert store.latest("alpha") == 5


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"x"), "is not the file that was published"),
        (lambda folder: flip(folder / "model.onnx"), "is not the file that was published"),
        (lambda folder: (folder / "more.bin").touch(), "more.bin is not in the manifest"),
        (lambda folder: (folder / "manifest.json").unlink(), "has no manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "is not a manifest"),
    ],
)
def test_damage_is_found(built: Place, damage: object, fault: str) -> None:
    damage(built.store.folder("alpha", 2))  # type: ignore[operator]
    assert any(fault in text for text in built.store.faults("alpha", 2))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_manifest_of_another_version_is_a_fault(built: Place) -> None:
    shutil.copytree(built.store.folder("alpha", 2), built.store.folder("alpha", 3))
    assert built.store.faults("alpha", 3) == ["the manifest is of alpha version 2"]


def test_python_caches_are_no_damage(built: Place) -> None:
    cache = built.store.folder("alpha", 2) / "__pycache__"
    cache.mkdir()
    (cache / "model.cpython-311.pyc").touch()
    assert not built.store.faults("alpha", 2)


def test_publishing_needs_an_artifact_and_a_shim(built: Place) -> None:
    with pytest.raises(NotFound, match="no artifact"):
        built.store.publish("alpha", "0" * 64)
    built.store.shim("alpha").unlink()
    with pytest.raises(BuildError, match=r"model\.py is missing"):
        built.store.publish("alpha", built.store.manifest("alpha").key)


def test_a_failed_verdict_is_not_in_the_cache(built: Place) -> None:
    key = built.store.manifest("alpha").key
    cached = Manifest.read(built.store.builds / key)
    cached.model_copy(update={"gate": cached.gate.model_copy(update={"passed": False})}).write(built.store.builds / key)
    assert built.store.cached(key) is None
    assert not (built.store.builds / key).exists()


def test_staging_beside_the_target_where_a_rename_could_not_reach(tmp_path: Path) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one file system only")
    with tempfile.TemporaryDirectory(dir=shm) as other:
        store = Store(Path(other) / "repository", tmp_path / "state")
        with store.locked():
            target = store.repository / "alpha" / "2"
            target.parent.mkdir(parents=True)
            staged = store.staging(target)
            assert staged.parent == store.repository / ".staging"
            (staged / "file").write_text("x")
            builder.store.move(staged, target)
            store.staging(target)
        assert [path.name for path in store.repository.iterdir()] == ["alpha"]


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(OSError, match="not empty"):
        builder.store.move(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "file").read_text() == "old"


def test_the_digest_is_the_artifacts_and_not_the_shims(built: Place) -> None:
    manifest = built.store.manifest("alpha")
    assert manifest.files == records(built.store.folder("alpha", 2))
    without = manifest.model_copy(update={"files": {n: r for n, r in manifest.files.items() if n != "model.py"}})
    assert manifest.digest == without.digest
    assert manifest.digest != built.store.manifest("beta").digest


def test_a_large_file_is_on_the_disk_once(built: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder.store, "LINKED", 1)
    store = built.store
    key = store.manifest("alpha").key
    published = store.publish("alpha", key)
    names = [name for name in published.files if name != "model.py"]
    assert names
    for name in names:
        assert (store.builds / key / name).samefile(store.folder("alpha", published.version or 0) / name)
    assert store.faults("alpha", published.version or 0) == []
    store.remove("alpha", published.version or 0)
    assert store.cached(key) is not None


def test_where_a_link_cannot_be_it_is_copied(built: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: str, target: str) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(builder.store, "LINKED", 1)
    monkeypatch.setattr(os, "link", refused)
    published = built.store.publish("alpha", built.store.manifest("alpha").key)
    assert built.store.faults("alpha", published.version or 0) == []
