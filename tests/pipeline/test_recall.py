"""Keys and neighbours; what fails becomes a reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pixelis.errors import DeadlineExceeded, Unavailable
from pixelis.schema import Neighbour
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.models import Floats, Views
from python_backends.pipeline.prepare import Prepared
from python_backends.pipeline.recall import NO_RETRIEVAL, Recalled, recall
from tests.pipeline.conftest import png
from tests.pipeline.scripted import ScriptedModels

CAT = Neighbour(experience_id="a", answer="cat", similarity=0.99, confidence=0.9)


def one(models: ScriptedModels, prepared: Prepared) -> Recalled:
    (found,) = recall(models, [prepared.request], prepared.retrieval_view[None])
    return found


def test_a_key_and_its_neighbours(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    models.neighbours = [CAT]
    found = one(models, prepare())
    assert found.outcome.neighbours == [CAT]
    assert found.outcome.reason is None
    assert np.linalg.norm(found.key) == pytest.approx(1, abs=1e-5)
    assert {"embed_image", "embed_text", "knn"} == set(found.outcome.timings_ms)
    assert models.counted == [False]


def test_only_a_request_that_may_learn_counts_as_retrieval(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    one(models, prepare(read_only=False))
    assert models.counted == [True]


def test_a_request_finds_what_its_tenant_does(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    for tenant in ("", "alice"):
        one(models, prepare(tenant=tenant))
    assert models.tenants == ["", "alice"]


def test_a_batch_is_one_call_of_each_encoder_and_everybody_gets_his_own(
    voice: Voice, prepare: Callable[..., Prepared]
) -> None:
    calls: list[int] = []

    class Counting(ScriptedModels):
        def embed_image(self, views: Views, deadline: float) -> Floats:
            calls.append(len(views))
            return super().embed_image(views, deadline)

    models = Counting(voice, [""])
    many = [prepare([png(seed=i)], f"question {i}") for i in range(3)]
    together = recall(models, [p.request for p in many], np.stack([p.retrieval_view for p in many]))
    assert calls == [3]
    for prepared, found in zip(many, together, strict=True):
        assert np.array_equal(one(models, prepared).key, found.key)


def test_k_0_retrieves_nothing_and_still_has_a_key(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    found = one(models, prepare(k=0))
    assert (found.outcome.reason, found.outcome.neighbours) == (NO_RETRIEVAL, [])
    assert models.counted == []
    assert found.key.any()


@pytest.mark.parametrize("side", ["embed_image", "embed_text"])
def test_one_side_down_is_a_query_with_the_other(voice: Voice, prepare: Callable[..., Prepared], side: str) -> None:
    models = ScriptedModels(voice, [""])
    models.neighbours = [CAT]
    models.down[side] = Unavailable("down")
    found = one(models, prepare())
    assert found.outcome.neighbours == [CAT]
    assert found.outcome.reason == f"{side}: unavailable: down"
    assert np.linalg.norm(found.key) > 1.1


def test_both_sides_down(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    models.down = {"embed_image": Unavailable("down"), "embed_text": DeadlineExceeded("late")}
    found = one(models, prepare())
    assert "embed_image: unavailable: down" in str(found.outcome.reason)
    assert "embed_text: deadline_exceeded: late" in str(found.outcome.reason)
    assert not found.key.any()
    assert models.counted == []


def test_a_dead_index_is_a_reason(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    models = ScriptedModels(voice, [""])
    models.down["knn"] = Unavailable("down")
    found = one(models, prepare())
    assert (found.outcome.neighbours, found.outcome.reason) == ([], "knn: unavailable: down")
    assert found.key.any()


def test_the_shortest_time_of_a_batch_bounds_it(voice: Voice, prepare: Callable[..., Prepared]) -> None:
    deadlines: list[float] = []

    class Noting(ScriptedModels):
        def embed_image(self, views: Views, deadline: float) -> Floats:
            deadlines.append(deadline)
            return super().embed_image(views, deadline)

    many = [prepare(timeout_s=300), prepare(timeout_s=4)]
    recall(Noting(voice, [""]), [p.request for p in many], np.stack([p.retrieval_view for p in many]))
    assert deadlines[0] < many[1].request.deadline
