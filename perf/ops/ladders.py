"""The ladder of each operation that costs least under a stated loss of quality, on labelled samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import mean

from perf.ops.sides import Models
from perf.ops.task import Request
from pixelis.operations_config import FULL, Ladder
from pixelis.schema import OperationName
from python_backends.images import DecodedImages
from python_backends.visual_ops.operate import operate

STEPS: dict[OperationName, tuple[tuple[float, ...], ...]] = {
    OperationName.READ_TEXT: ((1.0,), (0.5, 1.0), (0.35, 1.0), (0.35, 0.6, 1.0)),
    OperationName.SEGMENT_OBJECT_AT: ((1.0,), (0.5, 1.0), (0.25, 1.0), (0.25, 0.5, 1.0)),
    OperationName.TRACK_OBJECT: ((1.0,), (0.5, 1.0), (0.25, 1.0)),
    OperationName.TEMPORAL_LOCALIZE: ((1.0,), (0.5, 1.0), (0.25, 1.0)),
}
"""Tried for each operation."""
ENOUGH = (0.6, 0.7, 0.8, 0.9, 0.95)
MAKES = {
    OperationName.READ_TEXT: ("page", "line"),
    OperationName.SEGMENT_OBJECT_AT: ("scene",),
    OperationName.TRACK_OBJECT: ("track",),
    OperationName.TEMPORAL_LOCALIZE: ("localize",),
}
"""Kinds of requests of a workload that ask for it."""

Watch = Callable[[str], None]


@dataclass(frozen=True)
class Tried:
    """A ladder, measured.

    Attributes:
        ladder: the settings.
        seconds: processor time of all samples.
        quality: mean of what the labels say, in points of 100.
        low: share of the samples that were answered below full resolution.
    """

    ladder: Ladder
    seconds: float
    quality: float
    low: float


def ladders(operation: OperationName) -> Iterator[Ladder]:
    """All that are tried; of the full resolution alone only one, whose `enough` says nothing."""
    for steps, enough in product(STEPS[operation], ENOUGH):
        if len(steps) > 1 or enough == ENOUGH[0]:
            yield Ladder(steps=steps, enough=enough if len(steps) > 1 else 1.0)


def tried(
    operation: OperationName,
    requests: Sequence[Request],
    models: Models,
    watch: Watch,
    chosen: Sequence[Ladder] | None = None,
) -> list[Tried]:
    """The plain look at the first place, then every ladder.

    Samples take turns: each is looked at in every way before the next one is, so that all ways see the same machine.

    Args:
        operation: whose ladders.
        requests: labelled.
        models: with one thread.
        watch: told how far it is.
        chosen: only these ladders; none = all.
    """
    ways = [FULL, *(ladders(operation) if chosen is None else chosen)]
    seconds: list[list[float]] = [[] for _ in ways]
    marks: list[list[float]] = [[] for _ in ways]
    low: list[list[float]] = [[] for _ in ways]
    samples = [(request, task) for request in requests for task in request.tasks]
    for place, (request, task) in enumerate(samples):
        watch(f"{operation.value}: {place} of {len(samples)} samples")
        pictures = list(DecodedImages().lazily(request.images))
        for i, ladder in enumerate(ways):
            began = time.process_time()
            found = operate(pictures, task.operation, models.ocr, models.features, ladder)
            seconds[i].append(time.process_time() - began)
            marks[i].append(task.judge(found))
            low[i].append(float(found.resolution < 1))
    return [Tried(ladder, sum(seconds[i]), 100 * mean(marks[i]), mean(low[i])) for i, ladder in enumerate(ways)]


def choose(found: Sequence[Tried], loss: float) -> Tried:
    """The fastest of those that lose at most `loss` points against the plain look, the first one; it is one of them."""
    return min((one for one in found if found[0].quality - one.quality <= loss), key=lambda one: one.seconds)
