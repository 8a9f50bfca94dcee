"""Step two: the request's retrieval key and its nearest experiences. A failing model becomes a reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import PixelisError
from pixelis.schema import PreparedRequest, RecallOutcome
from pixelis.settings import settings
from python_backends.deadlines import Job
from python_backends.experience.key import WIDTH, retrieval_key
from python_backends.pipeline.models import Floats, Models
from python_backends.pipeline.shares import RECALL, Stopwatch, share
from python_backends.tracing import recorder

T = TypeVar("T")

NO_RETRIEVAL = "no_retrieval"
"""The reason where a request asked for no neighbours (`k` = 0)."""


@dataclass(frozen=True)
class Recalled:
    """Outcome and key; a key of zeros where none could be made."""

    outcome: RecallOutcome
    key: Floats

    @classmethod
    def without(cls, stage: str, error: PixelisError) -> Recalled:
        """Neither key nor neighbours, because `stage` failed."""
        return cls(RecallOutcome(reason=f"{stage}: {error.wire()}"), np.zeros(WIDTH, np.float32))


def recall(models: Models, requests: Sequence[PreparedRequest], views: NDArray[np.uint8]) -> list[Recalled]:
    """Keys and neighbours of a batch of requests: one call of each encoder for all of them.

    Args:
        models: the sibling models.
        requests: what `prepare` made.
        views: `[n, 224, 224, 3]`, the retrieval view of each.
    """
    watch = Stopwatch()
    # They are answered together: the shortest may not wait for what the longest has time for.
    deadline = share(min(request.deadline for request in requests), RECALL)
    image = Job(lambda: _timed(watch, "embed_image", lambda: models.embed_image(views, deadline)), "embed_image")
    words = [request.question for request in requests]
    text, text_reason = _attempt(
        "embed_text", lambda: _timed(watch, "embed_text", lambda: models.embed_text(words, deadline))
    )
    visual, visual_reason = _attempt("embed_image", lambda: image.result(deadline))
    reasons = [reason for reason in (visual_reason, text_reason) if reason]
    jobs = [
        Job(lambda i=i, r=r: _one(models, r, _row(visual, i), _row(text, i), reasons, watch.ms), "recall")  # type: ignore[misc]
        for i, r in enumerate(requests)
    ]
    return [_settled(job, request) for job, request in zip(jobs, requests, strict=True)]


def _settled(job: Job[Recalled], request: PreparedRequest) -> Recalled:
    try:
        return job.result(request.deadline)
    except PixelisError as error:
        return Recalled.without("knn", error)


@recorder.span("neighbours")  # in a thread of its own
def _one(
    models: Models,
    request: PreparedRequest,
    visual: Floats | None,
    text: Floats | None,
    reasons: Sequence[str],
    encoders_ms: dict[str, float],
) -> Recalled:
    watch = Stopwatch()
    watch.ms.update(encoders_ms)
    if visual is None and text is None:
        key, reason = np.zeros(WIDTH, np.float32), "; ".join(reasons)
        return Recalled(_outcome(RecallOutcome(reason=reason), watch), key)
    key = retrieval_key(visual, text, settings().retrieval.visual_weight)
    if request.options.k == 0 or not request.options.alone:
        return Recalled(_outcome(RecallOutcome(reason=NO_RETRIEVAL), watch), key)
    started = time.perf_counter()
    count, limit = not request.options.read_only, share(request.deadline, RECALL)
    found, failed = _attempt("knn", lambda: models.search(key, request.options.k, count, limit, request.options.tenant))
    watch.add("knn", started)
    told = [*reasons, *([failed] if failed else []), *([found.reason] if found and found.reason else [])]
    outcome = RecallOutcome(neighbours=found.neighbours if found else [], reason="; ".join(told) or None)
    return Recalled(_outcome(outcome, watch), key)


def _outcome(outcome: RecallOutcome, watch: Stopwatch) -> RecallOutcome:
    total = watch.elapsed_ms + max((watch.ms.get(name, 0.0) for name in ("embed_image", "embed_text")), default=0.0)
    return outcome.model_copy(update={"elapsed_ms": round(total, 3), "timings_ms": dict(watch.ms)})


def _row(found: Floats | None, index: int) -> Floats | None:
    return None if found is None else found[index]


def _timed(watch: Stopwatch, stage: str, work: Callable[[], Floats]) -> Floats:
    started = time.perf_counter()
    try:
        with recorder.span(stage):
            return work()
    finally:
        watch.add(stage, started)


def _attempt(stage: str, work: Callable[[], T]) -> tuple[T | None, str | None]:
    """The work's result, or the reason why there is none."""
    try:
        return work(), None
    except PixelisError as error:
        return None, f"{stage}: {error.wire()}"
