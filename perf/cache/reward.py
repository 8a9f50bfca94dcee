"""What revisited states save: the states and the reward of a trajectory of ten steps, with the served artifacts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perf.cache.episodes import PICTURE, SIDE, STEPS, actions, question, rewarded
from pixelis.cache_config import Cache
from pixelis.schema import Claim, RewardRequest
from pixelis.settings import Settings
from python_backends.artifacts import artifact
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.states import state_keys
from python_backends.policy.profile import Profile


def reward(config: Settings, rounds: int) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Rows and claims: milliseconds of a trajectory without a cache, new, with five steps in common, and seen before.

    `states and reward` is what the last step of a request computes; `reward` alone is of states that are given.

    Raises:
        NotFound: a model is not built.
    """
    profile = Profile.load(artifact(config.repository, "policy"))
    rows = []
    with tempfile.TemporaryDirectory(prefix="pixelis-cache-") as folder:
        here = config.model_copy(update={"state": Path(folder)})
        off = here.model_copy(update={"cache": Cache(cache_size=0)})
        with LocalModels(off) as plain, LocalModels(here) as kept:

            def whole(models: LocalModels, number: int) -> None:
                _whole(models, profile, number)

            ratio = 0.0
            for what, ask in (("states and reward", whole), ("reward", _given)):
                times = _four(plain, kept, ask, rounds)
                rows += [
                    {"row": "reward", "what": what, "trajectory": n, "steps": STEPS, "p50_ms": round(t, 3)}
                    for n, t in times
                ]
                ratio = ratio or times[0][1] / times[-1][1]
    text = f"states and reward of {STEPS} steps on states seen before: times as fast as computed"
    return rows, [Claim(claim=text, target=10.0, measured=round(ratio, 2), unit="x", met=ratio >= 10)]


def _four(
    plain: LocalModels, kept: LocalModels, ask: Callable[[LocalModels, int], None], rounds: int
) -> list[tuple[str, float]]:
    new, alike = [10 * i for i in range(rounds)], [10 * i + 1 for i in range(rounds)]
    for models in (plain, kept):  # the artifacts are loaded
        ask(models, 10**7)
    return [
        ("no cache", _median(lambda i: ask(plain, i), new)),
        ("new", _median(lambda i: ask(kept, i), new)),
        ("five steps in common", _median(lambda i: ask(kept, i), alike)),
        ("seen before", _median(lambda i: ask(kept, i), new)),
    ]


def _whole(models: LocalModels, profile: Profile, number: int) -> None:
    by, taken = time.time() + 60, actions(number)
    states = state_keys(models, profile, [PICTURE], question(number), taken, by)
    asked = RewardRequest(actions=taken, states=states.tolist(), image_sizes=[(SIDE, SIDE)], answer="red")
    _checked(models, asked, by)


def _given(models: LocalModels, number: int) -> None:
    _checked(models, rewarded(number), time.time() + 60)


def _checked(models: LocalModels, asked: RewardRequest, by: float) -> None:
    found = models.reward(asked, by)
    if found.reason is not None or len(found.curiosity_steps) != STEPS:
        raise AssertionError(f"no whole reward: {found.reason}")


def _median(work: Callable[[int], None], numbers: Sequence[int]) -> float:
    times = np.empty(len(numbers))
    for place, number in enumerate(numbers):
        started = time.perf_counter()
        work(number)
        times[place] = time.perf_counter() - started
    return float(np.median(times)) * 1e3
