"""Tasks tell a model that works from one that does not, and ask the same cases every time."""

from __future__ import annotations

import random

import numpy as np
import pytest

from builder.nano.tokenizer import vocabulary
from builder.sources.checkpoint import NANO, load_model
from builder.sources.dynamics import Dynamics
from builder.sources.embed_image import EmbedImage
from builder.sources.embed_text import EmbedText
from builder.sources.ocr_detect import OcrDetect
from builder.sources.ocr_recognize import OcrRecognize
from builder.sources.task import Asked
from builder.sources.vision_encoder import VisionEncoder
from builder.tasks import likeness, nano_turns, reading
from builder.tasks.curiosity import CuriosityOrder
from builder.tasks.lettering import line, page
from builder.tasks.sentences import Paraphrases


def test_lettering_is_the_same_every_time_and_where_it_says() -> None:
    one, other = line(random.Random(3)), line(random.Random(3))
    assert one[0] == other[0]
    np.testing.assert_array_equal(one[1], other[1])
    for seed in range(20):
        pixels, written = page(random.Random(seed))
        assert written, "an empty page proves nothing"
        plain = np.median(pixels, axis=(0, 1))
        for found in written:
            x1, y1, x2, y2 = found.box
            assert 0 <= x1 < x2 <= pixels.shape[1]
            assert 0 <= y1 < y2 <= pixels.shape[0]
            inside = np.abs(pixels[y1:y2, x1:x2] - plain).max(axis=-1) > 60
            assert inside.mean() > 0.05, f"no ink in the box of {found.text}"


def test_lines_are_read_by_a_reader_and_by_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LINES", 16)
    source = OcrRecognize()
    task = reading.ExactLines(source.characters())
    scores = task.scores(source.reference)
    assert len(scores) == 16
    assert np.mean(scores) >= 0.9
    assert task.scores(source.reference) == scores

    def neighbour(inputs: Asked) -> Asked:
        answer = source.reference(inputs)
        return {**answer, "INDEX": np.where(answer["INDEX"] > 1, answer["INDEX"] - 1, 0)}

    assert np.mean(task.scores(neighbour)) == 0


def test_boxes_are_found_by_a_detector_and_by_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGES", 8)
    source, task = OcrDetect(), reading.FoundLines()
    assert np.mean(task.scores(source.reference)) >= 0.8
    assert np.mean(task.scores(lambda inputs: {"MAP": np.zeros(inputs["IMAGE"].shape[:3], np.float32)})) == 0
    assert reading.iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)


def test_a_turn_ends_where_the_policy_stops() -> None:
    end = vocabulary().index("<|im_end|>")
    for episode in nano_turns.held_out(NANO, 12):
        turns = list(nano_turns.turns_of(episode))
        assert 1 <= len(turns) <= 5
        assert all(episode.ids[turn.end - 1] == end for turn in turns)
        assert [turn.views for turn in turns] == sorted(turn.views for turn in turns)
        assert turns[-1].views == len(episode.views)
        assert sum(turn.end - turn.begin for turn in turns) == sum(episode.learn)


def test_the_nano_writes_most_turns_and_a_blind_one_does_not() -> None:
    task = nano_turns.TowerTurns(NANO, lambda: load_model(NANO), 18)
    source = VisionEncoder(NANO)
    scores = task.scores(source.reference)
    policy = nano_turns.PolicyTurns(NANO, lambda: load_model(NANO), 18)
    assert policy.reference_scores(source.reference) == scores, "two ways to the same turns"
    blind = task.scores(lambda inputs: {"TOKENS": 0 * source.reference(inputs)["TOKENS"]})
    assert np.mean(scores) > 0.7 > 0.6 > np.mean(blind)


@pytest.mark.slow
def test_paraphrases_are_found_by_meaning_only() -> None:
    source = EmbedText()
    task = Paraphrases(source.tokens)
    scores = task.scores(source.reference)
    assert np.mean(scores) > 0.8
    rng = np.random.default_rng(0)
    noise = task.scores(lambda inputs: {"EMBEDDING": rng.normal(size=(len(inputs["INPUT_IDS"]), 384))})
    assert len(noise) == len(scores) > 381, "fewer cases cannot rule out a drop of one point"
    assert np.mean(noise) < 0.1


@pytest.mark.slow
def test_pictures_and_objects_are_found_by_features_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "PICTURES", 24)
    monkeypatch.setattr(likeness, "OBJECTS", 24)
    source, rng = EmbedImage(), np.random.default_rng(0)

    def noise(inputs: Asked) -> Asked:
        count = len(inputs["IMAGE"])
        return {"EMBEDDING": rng.normal(size=(count, 1280)), "FEATURES": rng.normal(size=(count, 14, 14, 384))}

    for task, least, most in ((likeness.CropRetrieval(), 0.7, 0.2), (likeness.ObjectRegions(), 0.68, 0.64)):
        assert np.mean(task.scores(source.reference)) > least > most > np.mean(task.scores(noise))


@pytest.mark.slow
def test_curiosity_is_ranked_by_the_network_only() -> None:
    source = Dynamics()
    task = CuriosityOrder(source.reference)
    assert np.mean(task.scores(source.reference)) == 1
    assert np.mean(task.scores(lambda inputs: {"NEXT_STATE": inputs["STATE"]})) < 0.9
