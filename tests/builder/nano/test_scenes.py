"""Scenes follow from their seed; training and held-out scenes share no word, no photograph and no seed."""

from __future__ import annotations

import numpy as np
import pytest

from builder.nano.episodes import FAMILIES, ask
from builder.nano.render import render
from builder.nano.scenes import GAP, PHOTOS, VIEW, make_scene
from builder.nano.words import split_of

MANY = 400


def test_no_overlap_between_training_and_held_out() -> None:
    texts = {
        split: {label.text.casefold() for seed in range(MANY) for label in make_scene(split, seed).labels}
        for split in ("train", "held_out")
    }
    assert len(texts["train"]) > MANY / 2
    assert len(texts["held_out"]) > MANY / 2
    assert not texts["train"] & texts["held_out"]
    assert all(split_of(word) == split for split, words in texts.items() for word in words)
    assert not set(PHOTOS["train"]) & set(PHOTOS["held_out"])
    used = {split: {make_scene(split, seed).photo for seed in range(MANY)} - {None} for split in texts}
    assert used["train"] == set(PHOTOS["train"])
    assert used["held_out"] == set(PHOTOS["held_out"])


def test_the_same_seed_is_the_same_picture_and_another_split_is_another() -> None:
    assert make_scene("train", 7) == make_scene("train", 7)
    assert make_scene("train", 7) != make_scene("held_out", 7)
    scene = make_scene("held_out", 3)
    assert np.array_equal(render(scene), render(scene))
    assert render(scene).shape == (scene.size[1], scene.size[0], 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_asked_is_there_once(family: str) -> None:
    for seed in range(MANY):
        scene = make_scene("train", seed)
        question = ask(scene, family)  # type: ignore[arg-type]
        if family == "label":
            assert [t.text for t in scene.labels if t.colour == question.thing.colour] == [question.answer]
        else:
            assert [t.colour for t in scene.shapes if t.kind == question.thing.kind] == [question.answer]


def test_things_stay_inside_and_apart() -> None:
    for seed in range(MANY):
        scene = make_scene("train", seed)
        boxes = [t.view_box(scene.size) for t in scene.things]
        assert all(0 <= x1 < x2 <= VIEW and 0 <= y1 < y2 <= VIEW for x1, y1, x2, y2 in boxes)
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                apart = max(b[0] - a[2], a[0] - b[2], b[1] - a[3], a[1] - b[3])
                assert apart >= GAP - 0.5
