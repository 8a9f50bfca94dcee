"""A damaged version is mended by the commands that its error names, and what they publish is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.storing.manifest import Manifest
from builder.storing.rollback import rollback
from pixelis import integrity
from pixelis.errors import BuildError, IntegrityError
from tests.builder.conftest import Place
from tests.builder.tiny import write_weights
from tests.published_version import flip


def served(place: Place) -> Path:
    return place.store.folder("alpha", place.store.latest("alpha") or 0)


def test_what_a_build_publishes_is_whole(built: Place) -> None:
    assert integrity.verify(served(built), needed=True).size == built.store.manifest("alpha").size_bytes
    fields = json.loads((served(built) / "manifest.json").read_text())
    assert (fields["schema_version"], len(fields["seal"])) == (2, 64)


@pytest.mark.parametrize("file", ["model.onnx", "model.py", "manifest.json"])
def test_a_build_mends_it(built: Place, file: str) -> None:
    whole = built.store.manifest("alpha").digest
    flip(served(built) / file)
    with pytest.raises(IntegrityError, match="pixelis build alpha"):
        integrity.verify(served(built))
    built.build("alpha")
    assert integrity.verify(served(built)).size
    assert (built.store.latest("alpha"), built.store.manifest("alpha").digest) == (3, whole)


@pytest.mark.parametrize("file", ["model.onnx", "manifest.json"])
def test_a_rollback_mends_it(built: Place, file: str) -> None:
    before = built.store.manifest("alpha").digest
    write_weights(built.root / "alpha.npy", 7)
    built.build("alpha")
    flip(served(built) / file)
    with pytest.raises(IntegrityError, match="pixelis models rollback alpha"):
        integrity.verify(served(built))
    rollback("alpha", repository=built.store.repository, state=built.store.state, spec=built.known)
    assert integrity.verify(served(built)).size
    assert (built.store.latest("alpha"), built.store.manifest("alpha").digest) == (4, before)


def test_a_manifest_that_is_written_again_is_sealed_again(built: Place) -> None:
    key = built.store.manifest("alpha").key
    built.store.note(key, "a test", "says something")
    cached = built.store.cached(key)
    assert cached is not None
    assert cached.notes["a test"] == "says something"


def test_a_field_that_this_version_does_not_know_is_refused(built: Place) -> None:
    path = served(built) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 3, "new": 1}))
    with pytest.raises(BuildError, match="layout 3") as caught:
        Manifest.read(path.parent)
    assert "the version that wrote it" in str(caught.value.mend)
