"""Version folders as a build publishes them, of a few bytes."""

from __future__ import annotations

import os
from pathlib import Path

from pixelis.published import MANIFEST, FileRecord, digest, sealed

CONFIG = 'name: "%s" backend: "python" parameters [ { key: "artifact" value: { string_value: "manifest.json" } } ]'
CONTENT = {"model.onnx": b"weights of a model", "model.py": b"# code\n", "parts/more.bin": b"more weights"}


def publish(repository: Path, model: str = "alpha", version: int = 2, content: dict[str, bytes] | None = None) -> Path:
    """A whole version with its config; its folder."""
    folder = repository / model / str(version)
    for name, data in (CONTENT if content is None else content).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (repository / model / "config.pbtxt").write_text(CONFIG % model, encoding="utf-8")
    write_manifest(folder, model, version)
    return folder


def write_manifest(folder: Path, model: str, version: int) -> None:
    """The manifest of what lies in `folder` now."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST]
    records = [FileRecord(sha256=digest(path), size=path.stat().st_size) for path in paths]
    names = [str(path.relative_to(folder)) for path in paths]
    files = {name: record.model_dump() for name, record in zip(names, records, strict=True)}
    text = sealed({"model": model, "version": version, "files": files, "created_at": 1e-06, "notes": {"by": "größer"}})
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def flip(path: Path, at: int | None = None) -> None:
    """One bit of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.write_bytes(data)


def keep_times(path: Path, change: bytes) -> None:
    """Replace a file's content in place by as many other bytes, and put its time of change back."""
    before = path.stat()
    assert len(change) == before.st_size
    path.write_bytes(change)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
