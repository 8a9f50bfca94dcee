"""A prefix and the rest are the whole; what was seen before is not asked again; a key holds all that a value needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pixelis.cache_config import Cached
from pixelis.schema import Action, OperationName, RewardRequest
from python_backends.caching import Cache
from python_backends.caching.codec import NumbersCodec
from python_backends.caching.origin import Origin
from python_backends.reward import RewardState, Weights, compute
from python_backends.reward.curiosity import Step, measured

Floats = NDArray[np.float32]
SIZES = [(100, 80), (50, 60)]


def drift(states: Floats, actions: Floats) -> Floats:
    """A network of which every row stands for itself."""
    return (0.5 * states + actions.sum(axis=1, keepdims=True)).astype(np.float32)


class Counted:
    """`drift`, counting the rows that it is asked about."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, states: Floats, actions: Floats) -> Floats:
        self.rows += len(states)
        return drift(states, actions)


def curious(before: Floats, actions: Floats, after: Floats) -> list[Step]:
    return measured(before, actions, after, drift)


def steps_cache() -> Cache[Step]:
    return Cache("reward", NumbersCodec(2), Cached())


def version(number: int) -> Origin:
    return Origin({"dynamics": str(number)})


@st.composite
def actions(draw: st.DrawFn) -> list[Action]:
    kinds = st.sampled_from(["VISUAL_OPERATION", "VISUAL_OPERATION", "REASONING", "ANSWER"])
    made = []
    for kind in draw(st.lists(kinds, max_size=16)):
        name = draw(st.sampled_from([None, *OperationName])) if kind == "VISUAL_OPERATION" else None
        made.append(Action(type=kind, operation=name, arguments={"region": [draw(st.integers(0, 1)), 0, 9, 9]}))
    return made


def states_of(trajectory: list[Action], seed: int) -> Floats:
    count = sum(action.type == "VISUAL_OPERATION" for action in trajectory)
    return np.random.default_rng(seed).standard_normal((count + 1, 6)).astype(np.float32)


@given(actions(), st.data(), st.integers(0, 99), st.booleans())
def test_a_prefix_and_the_rest_are_the_whole(
    trajectory: list[Action], data: st.DataObject, seed: int, keyed: bool
) -> None:
    states = states_of(trajectory, seed) if keyed else np.zeros((1, 0), np.float32)
    start = RewardState(state=states[0] if len(states) > 1 else None)
    whole = start.extend(trajectory, states[1:], SIZES, curious)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(trajectory)), max_size=3)))
    state, done, place = start, 0, 1
    for cut in [*cuts, len(trajectory)]:
        part = trajectory[done:cut]
        steps = sum(action.type == "VISUAL_OPERATION" for action in part)
        before = state.steps
        state.extend(part, states[place : place + steps], SIZES, curious)
        assert state.steps == before, "extending changed what was extended"
        state = state.extend(part, states[place : place + steps], SIZES, curious)
        done, place = cut, place + steps
    assert state.steps == whole.steps
    for name in ("coherence", "penalty", "curiosity", "curiosity_steps", "uses", "sensible", "repeated"):
        assert getattr(state, name) == getattr(whole, name), name
    assert (state.state is None) == (whole.state is None)


def op(name: str, **arguments: Any) -> Action:
    return Action(type="VISUAL_OPERATION", operation=OperationName(name), arguments=arguments)


ZOOM, READ = op("ZOOM_IN", region=[0, 0, 50, 50]), op("READ_TEXT", region=[0, 0, 50, 50])
ANSWER = Action(type="ANSWER", text="red")


def request(trajectory: list[Action], seed: int = 1) -> RewardRequest:
    states = np.random.default_rng(seed).standard_normal((9, 6)).astype(np.float32)
    count = sum(action.type == "VISUAL_OPERATION" for action in trajectory)
    return RewardRequest(actions=trajectory, states=states[: count + 1].tolist(), image_sizes=SIZES)


def test_steps_say_what_each_action_brought() -> None:
    reward = compute(request([ZOOM, ZOOM, Action(type="REASONING"), READ, ANSWER]), drift)
    assert [step.action for step in reward.steps] == [0, 1, 2, 3, 4]
    assert [step.repeated for step in reward.steps] == [False, True, False, False, False]
    assert [step.penalty for step in reward.steps] == pytest.approx([0, -0.15, 0, 0, 0])
    assert [step.flow for step in reward.steps] == pytest.approx([0, -0.2, 0.3, 0.1, 0.1])
    assert [step.curiosity is None for step in reward.steps] == [False, False, True, False, True]
    assert [step.similarity is None for step in reward.steps] == [False, False, True, False, True]
    assert reward.curiosity_steps == [step.curiosity for step in reward.steps if step.curiosity is not None]
    assert sum(step.penalty for step in reward.steps) == pytest.approx(reward.penalty)


def test_a_trajectory_that_goes_on_costs_its_new_steps_only() -> None:
    cache, network = steps_cache(), Counted()
    compute(request([ZOOM, READ]), network, cache=cache, origin=version(1))
    assert network.rows == 2
    longer = compute(request([ZOOM, READ, READ, ANSWER]), network, cache=cache, origin=version(1))
    assert network.rows == 3
    assert longer == compute(request([ZOOM, READ, READ, ANSWER]), drift)
    assert (cache.usage.hits, cache.usage.computed, cache.memory.held()[0]) == (2, 3, 3)


@pytest.mark.parametrize("change", ["before", "after", "action", "version", "weights"])
def test_a_cached_step_is_of_the_same_states_action_version_and_weights(change: str) -> None:
    """The last bit of any state counts: an abbreviated tensor would collide."""
    cache, network = steps_cache(), Counted()
    asked = request([ZOOM])
    compute(asked, network, cache=cache, origin=version(1))
    other, number, weights = asked.model_copy(deep=True), 1, None
    if change in ("before", "after"):
        row = 0 if change == "before" else 1
        other.states[row][3] = float(np.nextafter(np.float32(other.states[row][3]), np.float32(9)))
    elif change == "action":
        other.actions[0] = op("ZOOM_IN", region=[0, 0, 50, 51])
    elif change == "version":
        number = 2
    else:
        weights = Weights(curiosity=0.4)
    compute(other, network, weights, cache, version(number))
    assert (network.rows, cache.usage.hits) == (2, 0)
    compute(asked, network, cache=cache, origin=version(1))
    assert (network.rows, cache.usage.hits) == (2, 1)


def test_nothing_is_cached_where_the_version_is_not_known() -> None:
    cache, network = steps_cache(), Counted()
    for _ in range(2):
        compute(request([ZOOM]), network, cache=cache)
    assert (network.rows, cache.memory.held()[0]) == (2, 0)


def test_a_failing_network_caches_nothing() -> None:
    cache = steps_cache()

    def broken(states: Floats, actions: Floats) -> Floats:
        return states * np.nan

    assert compute(request([ZOOM]), broken, cache=cache, origin=version(1)).reason
    assert cache.memory.held()[0] == 0
