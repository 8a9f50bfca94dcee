"""Models that take and give JSON and keep no state: `reward` and `vote`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from pydantic import BaseModel

from pixelis.errors import PixelisError
from pixelis.schema import Ballot, RewardRequest
from pixelis.settings import settings
from python_backends.adapter import UnaryModel
from python_backends.artifacts import ANY_VERSION
from python_backends.caching.caches import Caches
from python_backends.caching.codec import NumbersCodec
from python_backends.caching.origin import Origins
from python_backends.deadlines import run_all
from python_backends.pipeline.neural import predict
from python_backends.reward.curiosity import Dynamics
from python_backends.reward.total import compute
from python_backends.rows import Row, Tensors, json_text
from python_backends.tracing import recorder
from python_backends.voting.vote import vote

BLS_SECONDS = 10.0
"""Longest that a service waits for its own children; its callers have deadlines of their own."""


def each(rows: Sequence[Row], work: Callable[[Row], BaseModel]) -> list[Tensors | BaseException]:
    """`RESULT` of each row, one after the other."""
    answers: list[Tensors | BaseException] = []
    for row in rows:
        try:
            answers.append({"RESULT": json_text(work(row))})
        except PixelisError as error:
            answers.append(error)
    return answers


class Vote(UnaryModel):
    """Agent and neighbours -> verdict."""

    def answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        """`BALLOT` -> `RESULT`."""
        config = settings().retrieval
        return each(rows, lambda row: vote(row.parsed("BALLOT", Ballot), config))


class Reward(UnaryModel):
    """Trajectory -> components of its reward. Calls `dynamics`, about steps that it has not been asked about before."""

    def setup(self) -> None:
        """Open the cache of steps."""
        self._origins = Origins(self.repository, self.caller.ready)
        self._caches = Caches(settings(), self.instance)
        self._steps = self._caches.open("reward", NumbersCodec(2), settings().cache.reward)
        self._caches.start(self.metrics, self._origins.still)

    def finalize(self) -> None:
        """Keep the steps."""
        self._caches.close()

    def answer(self, rows: Sequence[Row]) -> Sequence[Tensors | BaseException]:
        """`TRAJECTORY` -> `RESULT`; rows side by side, so that their calls of `dynamics` batch."""
        until = time.time() + 2 * BLS_SECONDS
        return run_all([lambda row=row: self._one(row) for row in rows], [until] * len(rows), "reward")  # type: ignore[misc]

    @recorder.span("compute")  # in a thread of its own, and what waits for it does not work
    def _one(self, row: Row) -> Tensors:
        request = row.parsed("TRAJECTORY", RewardRequest)
        origin, deadline = self._origins.of(["dynamics"]), time.time() + BLS_SECONDS
        version = origin.versions["dynamics"] if origin else None
        reward = compute(request, self._dynamics(version, deadline), cache=self._steps, origin=origin)
        if reward.reason is not None and origin:  # it may have been replaced at this moment: ask the one that is served
            reward = compute(request, self._dynamics(None, deadline))
        return {"RESULT": json_text(reward)}

    def _dynamics(self, version: str | None, deadline: float) -> Dynamics:
        """The network of a version, which a cached step is of; none = of the one that is served."""
        call = partial(self.caller.one, version=ANY_VERSION if version is None else int(version))
        most = settings().batching.max_batch_size
        return lambda states, actions: predict(call, states, actions, most, deadline)
