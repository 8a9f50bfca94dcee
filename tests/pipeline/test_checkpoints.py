"""Which checkpoint a request is about, and which version of it a process goes by."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelis.errors import InvalidRequest, NotFound
from pixelis.model_name import base
from pixelis.schema import Options
from python_backends.caching.key import Key, meant, split
from python_backends.checkpoints import OfCheckpoint, is_name, models_of, names


class Place:
    """A repository, and which versions in it are loaded."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loaded: set[tuple[str, str]] = set()
        self.read: list[tuple[str | None, str]] = []

    def publish(self, model: str, version: int) -> None:
        folder = self.root / model / str(version)
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")

    def reader(self) -> OfCheckpoint[int]:
        def make(name: str | None, folder: Path) -> int:
            self.read.append((name, folder.name))
            return int(folder.name)

        return OfCheckpoint(self.root, make, lambda model, version: (model, version) in self.loaded)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    for model in ("policy", "vision_encoder", "policy.large", "vision_encoder.large", "policy.half"):
        made.publish(model, 2)
    return made


def test_names() -> None:
    assert all(is_name(name) for name in ("large", "qwen2-7b", "7b_int4"))
    assert not any(is_name(name) for name in ("", "default", "Large", "a.b", "../etc", "-x", "a" * 64))
    assert models_of(None) == ("policy", "vision_encoder")
    assert [base(model) for model in models_of("large")] == ["policy", "vision_encoder"]


def test_only_a_whole_checkpoint_is_there(place: Place) -> None:
    assert names(place.root) == ["large"]


@pytest.mark.parametrize("name", ["half", "other", "../large", "default"])
def test_another_name_is_refused_with_those_that_there_are(place: Place, name: str) -> None:
    with pytest.raises(InvalidRequest, match="There are large"):
        place.reader()(name)


def test_a_repository_without_the_default_one_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="policy"):
        Place(tmp_path).reader()(None)


def test_each_is_read_once(place: Place) -> None:
    reader = place.reader()
    assert [reader(None), reader("large"), reader(None), reader("large")] == [2, 2, 2, 2]
    assert place.read == [(None, "2"), ("large", "2")]


def test_a_new_version_is_read_when_it_is_loaded(place: Place) -> None:
    place.loaded = {("policy", "2")}
    reader = place.reader()
    assert reader(None) == 2
    place.publish("policy", 3)
    assert reader(None) == 2, "the older one still answers"
    place.loaded = {("policy", "3")}
    assert [reader(None), reader(None)] == [3, 3]
    assert place.read == [(None, "2"), (None, "3")]


def test_of_a_checkpoint_that_is_not_loaded_the_newest_is_read(place: Place) -> None:
    """It is what a load will bring."""
    reader = place.reader()
    assert reader("large") == 2
    place.publish("policy.large", 3)
    assert reader("large") == 3


def test_options_name_a_checkpoint() -> None:
    assert Options.parse('{"model": "large"}').model == "large"
    assert Options.parse(None).model is None


def test_versions_of_named_checkpoints_are_told_apart() -> None:
    key = Key.of("request", {"policy.a-2": "3", "vision_encoder.a-2": "4", "visual_ops": "1"})
    assert split(key.versions) == [("policy.a-2", "3"), ("vision_encoder.a-2", "4"), ("visual_ops", "1")]
    assert meant(key.name, None, "policy.a-2-3")
    assert not meant(key.name, None, "policy.a-2")
