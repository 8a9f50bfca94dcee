"""Operations that were run before on the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pixelis.cache_config import Cached
from pixelis.errors import Unavailable
from pixelis.operations_config import FULL, Ladder
from pixelis.schema import Operation, OperationName, OperationResult
from pixelis.settings import Limits
from python_backends.caching import Cache
from python_backends.caching.origin import Origin, Origins
from python_backends.visual_ops.cached import CODEC, OperationCache

ZOOM = Operation(operation=OperationName.ZOOM_IN, arguments={"region": [0, 0, 5, 5]})
LADDER = Ladder(steps=(0.5, 1.0), enough=0.9)


class Versions(Origins):
    def __init__(self) -> None:
        super().__init__(Path("nowhere"))
        self.version: str | None = "1"

    def of(self, models: Sequence[str], *configuration: Any) -> Origin | None:
        return None if self.version is None else Origin({"ocr_detect": self.version}, repr(configuration))


class Run:
    def __init__(self) -> None:
        self.versions, self.ran = Versions(), 0
        self.cache = OperationCache(Cache("operation", CODEC, Cached()), self.versions, Limits())
        self.error: str | None = None

    def __call__(
        self, pictures: Sequence[str] = ("a",), operation: Operation = ZOOM, ladder: Ladder = LADDER
    ) -> OperationResult:
        def run() -> OperationResult:
            self.ran += 1
            found = {} if self.error else {"size": [5, 5], "share": 0.25}
            return OperationResult(operation=operation.operation, result=found, error=self.error, elapsed_ms=7.0)

        return self.cache.get_or(pictures, operation, ladder, run, 1.0)[0]


def test_the_same_operation_on_the_same_pictures_runs_once() -> None:
    run = Run()
    first, again = run(), run()
    assert (run.ran, first.elapsed_ms, again.elapsed_ms) == (1, 7.0, 0.0)
    assert again.model_copy(update={"elapsed_ms": 7.0}) == first
    again.result.clear()
    assert run().result == first.result


def test_other_pictures_arguments_looks_and_versions_run_again() -> None:
    run = Run()
    run()
    run(["b"])
    run(operation=ZOOM.model_copy(update={"arguments": {"region": [0, 0, 5, 6]}}))
    run(ladder=Ladder(steps=(0.5, 1.0), enough=0.8))
    run.versions.version = "2"
    run()
    assert run.ran == 5


def test_what_was_looked_at_in_full_answers_for_any_look_and_not_the_other_way_round() -> None:
    run, full = Run(), ZOOM.model_copy(update={"resolution": "full"})
    run()
    run(operation=full, ladder=FULL)
    assert run.ran == 2
    run(ladder=Ladder(steps=(0.25, 1.0), enough=0.5))
    run(operation=full, ladder=FULL)
    assert run.ran == 2


def test_without_a_version_and_after_a_refusal_nothing_is_kept() -> None:
    run = Run()
    run.versions.version = None
    run()
    run()
    run.versions.version, run.error = "1", "Point (150, 60) is outside image bounds (100x100)"
    assert run().error == run().error == run.error
    run.error = None
    assert run().error is None
    assert run.ran == 5


def test_a_model_that_does_not_answer_is_an_error_each_time() -> None:
    run = Run()

    def fail() -> OperationResult:
        raise Unavailable("Model `ocr_detect` is not up.")

    for _ in range(2):
        with pytest.raises(Unavailable):
            run.cache.get_or(["a"], ZOOM, LADDER, fail, 1.0)
    assert run().error is None
