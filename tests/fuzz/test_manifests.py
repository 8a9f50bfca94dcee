"""`manifest.json`: damaged before it is sealed and after."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from builder.storing.manifest import Manifest
from pixelis.errors import BuildError, IntegrityError
from pixelis.published import Published, sealed
from pixelis.published import read as fields_of
from tests.fuzz.odd import damaged, how_often, json_bytes, tampered
from tests.fuzz.run import Fuzz, parsed

GOOD: dict[str, Any] = {
    "model": "alpha",
    "version": 3,
    "key": "k",
    "format": "onnx",
    "precision": "fp32",
    "source": "s",
    "source_digest": "0" * 64,
    "builder": "0.1.0",
    "builder_digest": "1" * 64,
    "libraries": {"onnx": "1.17"},
    "inputs": [{"name": "X", "dtype": "FP32", "dims": [-1, 3]}],
    "notes": {"why": "é\u2028"},
    "files": {"model.onnx": {"sha256": "2" * 64, "size": 12}, "model.py": {"sha256": "3" * 64, "size": 1}},
    "gate": {
        "passed": True,
        "reasons": [],
        "samples": 4,
        "batch_sizes": [1, 8],
        "shapes": ["X[1]"],
        "outputs": {},
        "elapsed_s": 0.5,
    },
    "created_at": 1.75e9,
    "seconds": {"export": 1.5},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "alpha" / "3" / "manifest.json"
    made.parent.mkdir(parents=True)
    return made


def _judged(path: Path) -> Manifest | None:
    """The manifest in a file, as both rooms read it."""
    published = parsed(lambda: Published.read(path.parent), IntegrityError)
    made = parsed(lambda: Manifest.read_file(path), BuildError)
    if made is None:
        return None
    assert published is not None
    assert (published.model, published.version, published.files) == (made.model, made.version, made.files)
    made.write(path.parent)
    assert Manifest.read(path.parent) == made
    return made


def test_manifests_that_are_sealed(fuzz: Fuzz, path: Path) -> None:
    def make(rng: Random) -> bytes:
        fields = tampered(rng, GOOD, rng.choice((0, 1, 1, 2)), [*Manifest.model_fields, "schema_version", "seal"])
        try:
            return sealed(fields).encode(errors="surrogatepass")
        except TypeError:  # it is no object any more, or has a seal of its own
            return json_bytes(rng, fields)

    def holds(data: bytes) -> bool:
        path.write_bytes(data)
        return _judged(path) is not None

    fuzz.loop(make, holds)


def test_manifests_damaged_later(fuzz: Fuzz, path: Path) -> None:
    whole = sealed(GOOD).encode()

    def holds(data: bytes) -> bool:
        path.write_bytes(data)
        made = _judged(path)
        if made is not None:  # a space more, or nothing
            path.write_bytes(data)
            assert fields_of(path) == GOOD
        return made is not None

    fuzz.loop(lambda rng: damaged(rng, whole, rng.choice((0, 1, 1, 2))), holds)


def test_manifests_without_a_seal(fuzz: Fuzz, path: Path) -> None:
    def make(rng: Random) -> bytes:
        data = json_bytes(rng, tampered(rng, GOOD, how_often(rng), list(Manifest.model_fields)))
        return damaged(rng, data, 1) if rng.random() < 0.3 else data

    def holds(data: bytes) -> bool:
        path.write_bytes(data)
        made = _judged(path)
        if made is not None:
            assert json.loads(made.model_dump_json()) == json.loads(Manifest.read_file(path).model_dump_json())
        return made is not None

    fuzz.loop(make, holds)
