"""An index full of confident wrong answers that are near, with the keys of the real encoders, and the default vote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from builder.nano.pictures import encoded
from builder.nano.questions import ask
from perf.adversaries import FAMILIES, Adversary, adversaries, keys
from pixelis.errors import PixelisError
from pixelis.schema import Ballot, Experience, Strategy
from pixelis.settings import Retrieval, Settings, settings
from python_backends.artifacts import artifact
from python_backends.experience import ExperienceStore
from python_backends.pipeline.local import LocalModels
from python_backends.voting import vote

SCENES = 5
K = 5


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModels]:
    repository = settings().repository.absolute()
    try:
        artifact(repository, "embed_image")
    except PixelisError as error:
        pytest.fail(f"{error} `make test` does.")
    with LocalModels(Settings(repository=repository, state=tmp_path_factory.mktemp("state"))) as made:
        yield made


def fill(store: ExperienceStore, models: LocalModels, near: list[Adversary], copies: int = 4) -> np.ndarray:
    """Every adversary learned `copies` times, as sure as can be and just now; their keys."""
    made = keys(models, [(one.picture, one.question) for one in near])
    for one, key in zip(near, made, strict=True):
        for _ in range(copies):
            said = Experience(
                experience_id="", question=one.question, answer=one.answer, confidence=1.0, reward=5.0,
                created_at=4e9,
            )  # fmt: skip
            store.insert(said, key)
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_near_neighbours_do_not_turn_a_right_answer_wrong(models: LocalModels, tmp_path: Path, family: str) -> None:
    questions = [ask(family, "held_out", 7000 + i) for i in range(SCENES)]  # type: ignore[arg-type]
    store = ExperienceStore(tmp_path, Retrieval(cold_start_threshold=0))
    fill(store, models, [near for question in questions for near in adversaries(question)])
    asked = keys(models, [(encoded(question)[0], question.text) for question in questions])
    closest = []
    for question, found in zip(questions, store.search(asked, K).neighbours, strict=True):
        assert len(found) == K
        assert all(neighbour.answer != question.answer for neighbour in found)
        closest.append(found[0].similarity)
        for strategy in Strategy:
            ballot = Ballot(answer=question.answer, confidence=0.6, neighbours=found, strategy=strategy)
            assert vote(ballot, Retrieval()).answer == question.answer
            assert vote(ballot, Retrieval(min_vote_similarity=0.9)).answer != question.answer, "no adversary at all"
    assert min(closest) > 0.95
    store.close()


def test_the_same_picture_and_question_do_vote(models: LocalModels, tmp_path: Path) -> None:
    question = ask("label", "held_out", 7000)
    store = ExperienceStore(tmp_path, Retrieval(cold_start_threshold=0))
    same = Adversary("edited", encoded(question)[0], question.text, question.answer)
    (key,) = fill(store, models, [same])
    (found,) = store.search(key[None], 3).neighbours
    assert [neighbour.occurrences for neighbour in found] == [4]
    verdict = vote(Ballot(answer="something else", confidence=0.9, neighbours=found), Retrieval())
    assert (verdict.answer, verdict.votes, verdict.reason) == (question.answer, 5, None)
    store.close()
