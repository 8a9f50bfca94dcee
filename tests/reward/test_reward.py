"""Each component of the reward against numbers worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, Unavailable
from pixelis.schema import Action, OperationName, RewardRequest
from python_backends.reward import RewardState, Weights, action_embedding, compute
from python_backends.reward.coherence import cosine, semantic_of, tools_of
from python_backends.reward.curiosity import Dynamics, measured
from python_backends.reward.task import task

ANSWER = Action(type="ANSWER", text="red")
THOUGHT = Action(type="REASONING", text="hm")


def op(name: str, **arguments: Any) -> Action:
    return Action(type="VISUAL_OPERATION", operation=OperationName(name), arguments=arguments)


ZOOM = op("ZOOM_IN", region=[0, 0, 50, 50])
READ = op("READ_TEXT", region=[0, 0, 50, 50])
NOTHING = np.zeros((0, 0))


def still(states: NDArray[np.float32], actions: NDArray[np.float32]) -> NDArray[np.float32]:
    """A world in which nothing happens."""
    return states


def walk(actions: list[Action], states: Any = NOTHING, dynamics: Dynamics | None = None) -> RewardState:
    """The state after a whole trajectory."""
    keys = np.asarray(states, np.float32)
    curious = None if dynamics is None else lambda *step: measured(*step, dynamics)
    return RewardState(state=keys[0] if len(keys) > 1 else None).extend(actions, keys[1:], [(100, 100)], curious)


def flow(actions: list[Action]) -> float:
    return math.fsum(step.flow for step in walk(actions).steps) / (len(actions) - 1)


def tools(actions: list[Action]) -> float:
    state = walk(actions)
    return tools_of(state.uses, state.sensible)


def coherence(actions: list[Action], states: Any) -> float:
    return walk(actions, states).coherence


def penalty(actions: list[Action]) -> float:
    return walk(actions).penalty


def curiosity_steps(
    actions: list[Action], states: Any, sizes: list[tuple[int, int]], dynamics: Dynamics
) -> list[float]:
    keys = np.asarray(states, np.float32)
    first = RewardState(state=keys[0] if len(keys) > 1 else None)
    return first.extend(actions, keys[1:], sizes, lambda *step: measured(*step, dynamics)).curiosity_steps


@pytest.mark.parametrize(
    ("given_", "right", "value"),
    [
        ("red", None, None),
        ("red", "red", 1.0),
        ("  ＲＥＤ ", "red", 1.0),
        ("abcd", "bcde", 0.5 * 0.75),
        ("x", "y", 0.0),
        (None, "red", 0.0),
        ("", "", 1.0),
    ],
)
def test_task(given_: str | None, right: str | None, value: float | None) -> None:
    assert task(given_, right) == value


def test_flow() -> None:
    # ZOOM->READ 0; READ->thought 0.1 + 0.2; thought->ANSWER 0.1; over three pairs
    assert flow([ZOOM, READ, THOUGHT, ANSWER]) == pytest.approx(0.4 / 3)
    assert flow([ZOOM, op("ZOOM_IN", region=[1, 1, 2, 2])]) == pytest.approx(-0.2)
    assert flow([THOUGHT, THOUGHT]) == 0


@pytest.mark.parametrize(
    ("c", "value"), [(0.2, -0.5), (0.36, 0.1), (0.6, 0.5), (0.84, 0.9), (0.95, -0.3), (-1.0, -0.5)]
)
def test_semantic(c: float, value: float) -> None:
    after = np.array([3 * c, 3 * math.sqrt(1 - c**2)], np.float32)
    assert semantic_of(cosine(np.array([2, 0], np.float32), after)) == pytest.approx(value, abs=1e-6)


def test_semantic_of_a_zero_state() -> None:
    assert semantic_of(cosine(np.zeros(4, np.float32), np.ones(4, np.float32))) == -0.5


def test_tools() -> None:
    assert tools([ZOOM, READ]) == pytest.approx(0.2 + 0.2)
    assert tools([ZOOM, THOUGHT, READ]) == pytest.approx(0.4)
    assert tools([READ, ZOOM]) == pytest.approx(0.2)
    assert tools([op("SEGMENT_OBJECT_AT", point=[1, 1]), op("GET_PROPERTIES")]) == pytest.approx(0.4)
    assert tools([op("READ_TEXT", region=[i, 0, 9, 9]) for i in range(7)]) == pytest.approx(0.1 - 0.2)
    every = [op(name.value) for name in OperationName]
    assert tools(every) == pytest.approx(0.5)


def test_coherence_is_the_mean_of_the_parts_that_apply() -> None:
    assert coherence([], NOTHING) == 0
    assert coherence([ANSWER], NOTHING) == 0
    assert coherence([THOUGHT, ANSWER], NOTHING) == pytest.approx(0.1)
    # flow (0 + 0.1) / 2, tools 0.4: no repetition, no states
    assert coherence([ZOOM, READ, ANSWER], NOTHING) == pytest.approx((0.05 + 0.4) / 2)
    # flow -0.2, repetition -0.5, tools 0.1
    assert coherence([ZOOM, ZOOM], NOTHING) == pytest.approx((-0.2 - 0.5 + 0.1) / 3)
    states = np.array([[1.0, 0.0], [0.6, 0.8], [1.0, 0.0]])
    assert coherence([ZOOM, READ, ANSWER], states) == pytest.approx((0.05 + 0.4 + 0.5) / 3)


def test_penalty() -> None:
    assert penalty([ZOOM, READ, ANSWER]) == 0
    assert penalty([ZOOM, ZOOM]) == pytest.approx(-0.15)
    assert penalty([ZOOM, op("ZOOM_IN", region=[5, 5, 9, 9])]) == pytest.approx(-0.05)
    assert penalty([READ, THOUGHT, READ]) == pytest.approx(-0.1)
    assert penalty([op("READ_TEXT", region=[i, 0, 9, 9]) for i in range(12)]) == pytest.approx(-0.4)


def test_curiosity_steps() -> None:
    states = np.array([[0, 0], [1, 1], [1, 3]], np.float32)
    assert curiosity_steps([ZOOM, READ], states, [(100, 100)], still) == pytest.approx([0.5, 0.5 * 2])
    assert curiosity_steps([ZOOM], states[:1], [(100, 100)], still) == []


def test_dynamics_gets_the_action_embeddings() -> None:
    seen: list[NDArray[np.float32]] = []

    def spy(states: NDArray[np.float32], actions: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(actions)
        return states

    curiosity_steps([ZOOM, THOUGHT, READ], np.zeros((3, 4), np.float32), [(100, 200)], spy)
    (actions,) = seen
    assert actions.dtype == np.float32
    np.testing.assert_array_equal(actions, [action_embedding(a, (100, 200)) for a in (ZOOM, READ)])


def test_total() -> None:
    request = RewardRequest(
        actions=[ZOOM, READ, ANSWER],
        states=[[1.0, 0.0], [0.6, 0.8], [1.0, 0.0]],
        image_sizes=[(100, 100)],
        answer="red",
        reference_answer="red",
    )
    reward = compute(request, still)
    assert reward.curiosity == pytest.approx(0.5 * (0.16 + 0.64) / 2)
    assert reward.coherence == pytest.approx(0.95 / 3)
    assert reward.total == pytest.approx(1.0 + 0.3 * 0.2 + 0.2 * 0.95 / 3)
    assert reward.reason is None


def test_task_is_absent_without_a_reference() -> None:
    reward = compute(RewardRequest(actions=[THOUGHT, ANSWER], answer="red"), still)
    assert reward.task is None
    assert reward.total == pytest.approx(0.02)


def test_total_is_clipped() -> None:
    request = RewardRequest(actions=[op("READ_TEXT", i=i) for i in range(100)])
    assert compute(request, still).total == -10
    assert compute(request, still, Weights(limit=1.0)).total == -1


def test_a_failing_dynamics_is_a_reason() -> None:
    def broken(states: NDArray[np.float32], actions: NDArray[np.float32]) -> NDArray[np.float32]:
        raise Unavailable("`dynamics` is not up.")

    request = RewardRequest(actions=[ZOOM, ANSWER], states=[[1.0], [2.0]], image_sizes=[(9, 9)])
    reward = compute(request, broken)
    assert (reward.curiosity, reward.curiosity_steps) == (0, [])
    assert reward.reason is not None
    assert "`dynamics` is not up." in reward.reason
    assert reward.coherence != 0
    assert "shape" in (compute(request, lambda s, a: s[:, :0]).reason or "")
    assert "not a number" in (compute(request, lambda s, a: s * np.nan).reason or "")


@pytest.mark.parametrize("states", [[[1.0], [2.0], [3.0]], [[1.0], [2.0, 3.0]], [[], []]])
def test_states_that_do_not_fit(states: list[list[float]]) -> None:
    with pytest.raises(InvalidRequest, match="states"):
        compute(RewardRequest(actions=[ZOOM], states=states), still)


def test_fewer_than_two_states_are_no_fault() -> None:
    assert compute(RewardRequest(actions=[ZOOM, READ], states=[[1.0]]), still).curiosity == 0


def test_action_embedding_layout() -> None:
    vector = action_embedding(op("READ_TEXT", region=[10, 20, 60, 70], image_index=32), (100, 100))
    expected = [0, 0, 1, 0, 0, 0, 0.1, 0.2, 0.6, 0.7, 0, 0, 1, 0, 0.5, 0]
    np.testing.assert_allclose(vector, expected, rtol=1e-6)
    vector = action_embedding(op("ZOOM_IN", center=[50, 20], zoom_factor=4), (100, 200))
    np.testing.assert_allclose(vector, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5, 0.1, 0, 1, 0, 0.25], rtol=1e-6)
    normalised = action_embedding(op("GET_PROPERTIES", bbox=[0.1, 0.2, 0.3, 0.4], normalized=True), (999, 7))
    np.testing.assert_allclose(normalised[6:10], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    assert action_embedding(op("ZOOM_IN", target_size=[800, 600]), (100, 50))[15] == pytest.approx(3 / 8)
    np.testing.assert_array_equal(action_embedding(ANSWER, (1, 1)), np.zeros(16))


SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.just("x")
JSON = SCALAR | st.lists(SCALAR, max_size=4)
NAMES = ["region", "bbox", "point", "center", "zoom_factor", "target_size", "image_index", "normalized"]


@given(st.sampled_from(list(OperationName)), st.dictionaries(st.sampled_from(NAMES), JSON), st.integers(0, 9999))
def test_any_arguments_embed_the_same_way_twice(name: OperationName, arguments: dict[str, Any], side: int) -> None:
    action = Action(type="VISUAL_OPERATION", operation=name, arguments=arguments)
    vector = action_embedding(action, (side, side))
    assert vector.shape == (16,)
    assert vector.dtype == np.float32
    assert np.abs(vector).max() <= 1
    np.testing.assert_array_equal(vector, action_embedding(action, (side, side)))
