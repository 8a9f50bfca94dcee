"""Directories of the format before: generations of files with a journal."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from pixelis.errors import SetupError
from pixelis.schema import Experience
from python_backends.experience.asked import Asked
from tests.experience.conftest import WIDTH, Place, experience, key, picture


def lines(path: Path, rows: list[str]) -> None:
    path.write_text("".join(row + "\n" for row in rows))


def old_directory(place: Place) -> Path:
    """Three experiences and a request in the generation; in the journal one evicted for another, one deleted."""
    path = place.path / "generation-00000003"
    path.mkdir(parents=True)
    living = [experience(str(i), experience_id=f"e{i}") for i in range(3)]
    request = Asked(request_id="r", experience=experience("blue", experience_id="r"), answer="blue")
    lines(path / "experiences.jsonl", [one.model_dump_json() for one in living])
    np.stack([key(i) for i in range(3)]).tofile(path / "keys.f32")
    lines(path / "asked.jsonl", [request.model_dump_json()])
    key(50).tofile(path / "asked.f32")
    (path / "meta.json").write_text(json.dumps({"width": WIDTH, "count": 3, "epoch": 40, "asked": 1}))
    new = experience("a\u2028b", experience_id="e3")
    journal = [
        {"op": "insert", "experience": plain(new), "evicted": "e0", "row": 0, "crc": zlib.crc32(key(3).tobytes())},
        {"op": "delete", "id": "e1"},
        {"op": "retrieved", "ids": ["e2"]},
        {"op": "success", "id": "e2"},
    ]
    lines(path / "journal.jsonl", [json.dumps(record) for record in journal])
    key(3).tofile(path / "journal.f32")
    return path


def plain(made: Experience) -> object:
    return json.loads(made.model_dump_json())


def test_it_is_taken_over_once(place: Place) -> None:
    old_directory(place)
    store = place.open()
    assert [one[:2] + one[3:] for one in picture(store)] == [("e2", "2", 1, 1), ("e3", "a\u2028b", 0, 0)]
    assert store.search(key(3)[None], 1).neighbours[0][0].similarity == pytest.approx(1, abs=1e-6)
    assert store.epoch >= 44
    assert store.judge("r", None, "green").experience_id == "r"
    assert (place.path / "taken-over-generation-00000003").is_dir()
    assert not list(place.path.glob("generation-*"))
    again = place.open()
    assert picture(again) == picture(store)
    assert (len(again), again.stats()["faults"]) == (3, [])


def test_a_torn_tail_was_never_acknowledged(place: Place) -> None:
    path = old_directory(place) / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert [one[3:] for one in picture(place.open())] == [(1, 0), (0, 0)]


@pytest.mark.parametrize("what", ["width", "count", "key", "line", "no line", "deep", "meta", "epoch"])
def test_what_cannot_be_read_is_refused_and_left_alone(place: Place, what: str) -> None:
    path = old_directory(place)
    if what == "key":
        key(4).tofile(path / "journal.f32")
    elif what == "line":
        lines(path / "journal.jsonl", ["{", "{}"])
    elif what in ("no line", "deep"):
        lines(path / "journal.jsonl", ["7" if what == "no line" else "[" * 20_000])
    elif what == "meta":
        (path / "meta.json").write_text("[1]")
    elif what == "epoch":
        (path / "meta.json").write_text(json.dumps({"width": WIDTH, "count": 3, "asked": 1, "epoch": [1]}))
    else:
        meta = json.loads((path / "meta.json").read_text())
        (path / "meta.json").write_text(json.dumps({**meta, what: 9}))
    with pytest.raises(SetupError) as caught:
        place.open()
    assert "generation-00000003" in str(caught.value)
    assert path.is_dir()
    with pytest.raises(SetupError):
        place.open()
