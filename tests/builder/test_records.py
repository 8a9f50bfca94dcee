"""Records beside artifacts that somebody has damaged, or written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.costing.cost import Costs
from builder.store import NUMBERS, Store
from builder.storing.chosen import FILE, Chosen
from builder.storing.manifest import Manifest
from pixelis import published
from pixelis.errors import BuildError
from python_backends.visual_ops.pair import _source
from tests.builder.conftest import Place

DEEP = b'{"source_digest": ' + b"[" * 20_000


def test_a_choice_that_could_not_be_written_again_is_none(tmp_path: Path) -> None:
    """It was taken, and the next choice made of the file one that nothing could read."""
    (tmp_path / FILE).write_text('{"/r": {"alpha": {"label": "a", "why": "w", "at": Infinity}}}', encoding="utf-8")
    with pytest.raises(BuildError, match="cannot be read"):
        Chosen(Path("/r"), tmp_path).all()


@pytest.mark.parametrize("text", [DEEP, b"\xff", b'{"a": Infinity}', b'{"a": NaN}', b'{"a": []}', b"[1]"])
def test_numbers_that_cannot_be_read_are_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / NUMBERS).write_bytes(text)
    assert Store(tmp_path, tmp_path)._spent() == {}


@pytest.mark.parametrize("text", [DEEP, b"\xff", b"{}"])
def test_what_was_measured_and_cannot_be_read_was_not_measured(tmp_path: Path, text: bytes) -> None:
    path = Costs(tmp_path)._path("key")
    path.parent.mkdir()
    path.write_bytes(text)
    assert Costs(tmp_path).find("key") is None


def test_a_half_of_a_segmenter_whose_manifest_cannot_be_read_has_no_partner(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(DEEP)
    assert _source(tmp_path) == str(tmp_path)


@pytest.mark.parametrize("field", ["created_at", "seconds", "gate"])
def test_a_manifest_without_numbers_is_none(built: Place, field: str) -> None:
    """Such a one was read, and what `note` made of it was not."""
    folder = built.store.folder("alpha", 2)
    said = published.read(folder / "manifest.json")
    wrong = {"created_at": float("inf"), "seconds": {"a": float("nan")}, "gate": {**said["gate"], "elapsed_s": 1e999}}
    (folder / "manifest.json").write_text(published.sealed({**said, field: wrong[field]}), encoding="utf-8")
    with pytest.raises(BuildError, match="is not a manifest"):
        Manifest.read(folder)
