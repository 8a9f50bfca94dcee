"""States are embedded while the policy writes on, and come out as if `finish` had embedded them."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from pixelis.errors import Unavailable
from pixelis.schema import AgentOutcome, StateRows
from python_backends.images import DecodedImages
from python_backends.pipeline.ahead import unpacked
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.models import Floats
from python_backends.pipeline.prepare import Prepared
from python_backends.pipeline.reason import Reasoner, outcome_of
from python_backends.pipeline.recall import recall
from python_backends.pipeline.states import state_keys
from tests.pipeline.scripted import ScriptedModels, call
from tests.pipeline.test_finish import finish

ZOOM = call("ZOOM_IN", region=[0, 0, 84, 84])
READ = call("READ_TEXT", region=[0, 0, 84, 84])
NONSENSE = "<tool_call>{</tool_call>"
Prepare = Callable[..., Prepared]


def reasoned(models: ScriptedModels, prepared: Prepared) -> AgentOutcome:
    reasoner = Reasoner(models, models.voice, DecodedImages(), ahead=True)
    return outcome_of(reasoner.run(prepared.images, prepared.request, prepared.views))


def keys(models: ScriptedModels, prepared: Prepared, outcome: AgentOutcome, *, first: Floats | None = None) -> Floats:
    """States as `finish` makes them, with what came with the outcome."""
    pictures = DecodedImages().lazily(prepared.images)
    later = unpacked(outcome.states) if outcome.states else None
    by = time.time() + 9
    return state_keys(
        models, models.voice.profile, pictures, prepared.request.question, outcome.actions, by, first=first, later=later
    )


@pytest.mark.parametrize("turns", [[ZOOM, "red"], [READ, "red"], [ZOOM, NONSENSE, ZOOM, READ, "red"]])
def test_they_are_what_would_have_been_embedded_at_the_end(voice: Voice, prepare: Prepare, turns: list[str]) -> None:
    models, prepared = ScriptedModels(voice, turns), prepare()
    outcome = reasoned(models, prepared)
    assert outcome.states is not None
    plain = keys(models, prepared, outcome.model_copy(update={"states": None}))
    assert len(plain) == len(turns)
    assert np.array_equal(keys(models, prepared, outcome), plain)
    (found,) = recall(models, [prepared.request], prepared.retrieval_view[None])
    models.down = {"embed_image": Unavailable("away"), "embed_text": Unavailable("away")}
    assert np.allclose(keys(models, prepared, outcome, first=found.key), plain, atol=1e-6), "nothing was asked again"


def test_an_answer_at_once_has_no_states(voice: Voice, prepare: Prepare) -> None:
    assert reasoned(ScriptedModels(voice, ["red"]), prepare()).states is None


@pytest.mark.parametrize("model", ["embed_image", "embed_text"])
def test_an_encoder_that_fails_meanwhile_is_asked_again(voice: Voice, prepare: Prepare, model: str) -> None:
    models, prepared = ScriptedModels(voice, [ZOOM, "red"]), prepare()
    models.down[model] = Unavailable("away")
    outcome = reasoned(models, prepared)
    assert (outcome.answer, outcome.states) == ("red", None)
    models.down.clear()
    assert len(keys(models, prepared, outcome)) == 2


@pytest.mark.parametrize("text", ["?", "AAAA", "AAAAAA==", "é"])
def test_rows_that_are_none_are_passed_over(voice: Voice, prepare: Prepare, text: str) -> None:
    models, prepared = ScriptedModels(voice, [ZOOM, "red"]), prepare()
    outcome = reasoned(models, prepared)
    spoiled = outcome.model_copy(update={"states": StateRows(text=text, visual="")})
    assert finish(models, prepared, spoiled).reward == finish(models, prepared, outcome).reward


def test_rows_of_another_trajectory_are_passed_over(voice: Voice, prepare: Prepare) -> None:
    models, prepared = ScriptedModels(voice, [ZOOM, READ, "red"]), prepare()
    outcome = reasoned(models, prepared)
    other = reasoned(ScriptedModels(voice, [ZOOM, "red"]), prepared)
    changed = outcome.model_copy(update={"states": other.states})
    assert np.array_equal(keys(models, prepared, changed), keys(models, prepared, outcome))


def test_a_kept_outcome_has_them_embedded_anew(voice: Voice, prepare: Prepare) -> None:
    models, prepared = ScriptedModels(voice, [ZOOM, READ, "red"]), prepare()
    outcome = reasoned(models, prepared)
    reasoner = Reasoner(models, voice, DecodedImages(), ahead=True)
    again = reasoner.embedded(prepared.images, prepared.request, outcome.model_copy(update={"states": None}))
    assert again == outcome
