"""Scenes follow from their seed; training and held-out scenes share no word, no photograph and no seed."""

from __future__ import annotations

import numpy as np

from builder.nano.episodes import target_box
from builder.nano.questions import SIZES, ask, point_answer
from builder.nano.render import placed, render
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


def test_what_is_asked_is_there_once() -> None:
    for seed in range(MANY):
        label, colour, where = (ask(family, "train", seed) for family in ("label", "colour", "where"))
        assert [t.text for t in label.scene.labels if t.colour == label.word] == [label.answer]
        assert [t.colour for t in colour.scene.shapes if t.kind == colour.word] == [colour.answer]
        named = [t for t in where.scene.things if where.word == (t.colour if t.kind == "label" else t.kind)]
        assert named == list(where.things)
        assert where.right(where.answer)
        assert not where.right(point_answer((0, 0)))
        assert not where.right("over there")


def test_counting_is_left_to_right_and_never_a_tie() -> None:
    counts = set()
    for seed in range(MANY):
        question = ask("count", "train", seed)
        shapes = [t for t in question.scene.shapes if t.colour == question.word]
        assert sorted(question.things, key=lambda t: t.box) == sorted(shapes, key=lambda t: t.box)
        lefts = [target_box(t, question.scene.size)[0] for t in question.things]
        assert lefts == sorted(set(lefts))
        assert question.answer == str(len(shapes))
        counts.add(len(shapes))
    assert counts == {0, 1, 2, 3, 4}


def test_the_largest_and_the_smallest_are_clear() -> None:
    for seed in range(MANY):
        question = ask("size", "train", seed)
        sides = sorted(t.box[2] - t.box[0] for t in question.scene.shapes)
        assert sides[1] / sides[0] > 1.25
        assert sides[-1] / sides[-2] > 1.25
        side = sides[-1] if question.word in SIZES["largest"] else sides[0]
        assert [t.colour for t in question.scene.shapes if t.box[2] - t.box[0] == side] == [question.answer]
        assert len({t.colour for t in question.scene.shapes}) == len(sides)


def test_a_clip_ends_with_the_thing_out_of_the_picture_on_the_right_side() -> None:
    for seed in range(MANY):
        question = ask("leaves", "train", seed)
        scene, motion = question.scene, question.scene.motion
        assert motion is not None
        (w, h), (x1, y1, x2, y2) = scene.size, placed(scene, motion.frames - 1)[-1].box
        out = {"left": x2 <= 0, "right": x1 >= w, "top": y2 <= 0, "bottom": y1 >= h}
        assert [side for side, gone in out.items() if gone] == [question.answer]
        assert [t.kind for t in scene.shapes].count(question.word) == 1


def test_things_stay_inside_and_apart() -> None:
    for seed in range(MANY):
        scene = make_scene("train", seed)
        boxes = [t.view_box(scene.size) for t in scene.things]
        assert all(0 <= x1 < x2 <= VIEW and 0 <= y1 < y2 <= VIEW for x1, y1, x2, y2 in boxes)
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                apart = max(b[0] - a[2], a[0] - b[2], b[1] - a[3], a[1] - b[3])
                assert apart >= GAP - 0.5
