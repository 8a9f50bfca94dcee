"""The policy runtime, as `policy` is served."""

from __future__ import annotations

import contextlib
import itertools
import queue
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perf.policy.load import Job, Picture
from perf.policy.systems.base import Piece, System
from pixelis.errors import InvalidRequest, PixelisError, SetupError
from pixelis.schema import PolicyEvent, Sampling
from python_backends.policy.calls.forms import OPEN
from python_backends.policy.grammar import CallGuide
from python_backends.policy.positions import visual_tokens
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime
from python_backends.policy.tokenizer import PolicyTokenizer


class Runtime(System):
    """`PolicyRuntime` in this process.

    Its own thread decodes; this side sleeps until a request is over, so that reading events costs decoding nothing
    that a server's own threads would not.

    Args:
        artifact: version folder of `policy`.
        threads: of one step.
        calling: every turn under the grammar begins inside a tool call.
        limits: fields of `Decoding` that differ.
    """

    def __init__(self, artifact: Path, threads: int, *, calling: bool = False, **limits: Any) -> None:
        self._runtime = PolicyRuntime(artifact, threads=threads, **limits)
        if calling:
            begin_in_calls(self._runtime, PolicyTokenizer(artifact))
        self._names = itertools.count()
        self._given: dict[int, str] = {}
        self._pieces: deque[Piece] = deque()
        self._over: queue.SimpleQueue[int] = queue.SimpleQueue()

    def submit(self, number: int, job: Job) -> None:
        """See `System.submit`."""
        name = self._given[number] = f"bench-{next(self._names)}"
        sampling = Sampling(request_id=name, max_tokens=job.tokens, **{"ignore_end": True, **job.sampling})
        grids = np.array(job.picture.grid if job.picture else [], np.int32)
        request = PolicyRequest(np.array(job.prompt, np.int64), self._visual(job.picture), grids, sampling)
        self._runtime.submit(request, partial(self._take, number, self._over.put))

    def wait(self, until: float) -> list[Piece]:
        """See `System.wait`."""
        with contextlib.suppress(queue.Empty):
            self._over.get(timeout=max(until - time.perf_counter(), 0.0))
        return [self._pieces.popleft() for _ in range(len(self._pieces))]

    def forget(self, number: int) -> None:
        """Cancel it."""
        if number in self._given:
            self._runtime.cancel(self._given[number])

    def counters(self) -> dict[str, Any]:
        """The runtime's metrics, once it has put them in order after its last event."""
        return self._runtime.metrics.snapshot()

    def close(self) -> None:
        """End its thread."""
        self._runtime.close()

    def _take(self, number: int, wake: Callable[[int], None], event: PolicyEvent | PixelisError) -> None:
        """In the decoding thread."""
        now = time.perf_counter()
        if isinstance(event, PixelisError):
            self._pieces.append(Piece(number, [], now, error=event.wire()))
        else:
            self._pieces.append(Piece(number, event.tokens, now, finish=event.finish))
            if event.finish is None:
                return
        wake(number)

    def _visual(self, picture: Picture | None) -> NDArray[np.float32] | None:
        if picture is None:
            return None
        count = visual_tokens(picture.grid, self._runtime.config.merge)
        rng = np.random.default_rng(picture.seed)
        return rng.standard_normal((count, self._runtime.config.hidden)).astype(np.float32)


def begin_in_calls(runtime: PolicyRuntime, tokenizer: PolicyTokenizer) -> None:
    """Let every guide of `runtime` have read `<tool_call>`: random weights would never write it.

    What follows is then the most that a grammar can cost, for such weights like hardly any token that it allows.
    """
    grammar = runtime._grammar
    if grammar is None:
        raise SetupError("This checkpoint is decoded without a grammar.", mend="Leave out the scenario `grammar`.")
    opening, plain = tokenizer.encode(OPEN).tolist(), grammar.guide

    def guide(stops: frozenset[int], limit: int, images: int) -> CallGuide:
        made = plain(stops, limit, images)
        for token in opening:
            made.take(token)
        if not made.inside:
            raise InvalidRequest(f"No call fits into {limit} tokens.", mend="Ask for more.")
        return made

    grammar.guide = guide  # type: ignore[method-assign]
