"""Which answers of a fuzzed server are faults."""

from __future__ import annotations

import pytest

from perf.fuzz.case import Case
from perf.fuzz.judge import judged
from perf.fuzz.send import Answer
from pixelis.schema import GroupResult, OperationName, OperationResult

ONE = Case(5, 7, "visual_ops", "grpc", "READ_TEXT on png", [b"\x00picture"], b"\xff{")
WHOLE = Case(5, 8, "pixelis", "http", "whole request", [], b"?", b"{}")


def result(error: str | None = None, **found: object) -> str:
    return OperationResult(operation=OperationName.READ_TEXT, error=error, result=dict(found)).model_dump_json()


def group(error: str) -> str:
    one = OperationResult(operation=OperationName.READ_TEXT, error=error)
    return GroupResult(results=[one]).model_dump_json()


@pytest.mark.parametrize(
    ("asked", "status", "said", "outcome", "fault"),
    [
        (ONE, 200, result(lines=[]), "result", None),
        (ONE, 200, result("Region [1, 2, 0, 0] is empty."), "error in the result", None),
        (ONE, 200, group("invalid_operation: Region is empty."), "error in the result", None),
        (ONE, 400, "invalid_image: The image is empty.", "invalid_image", None),
        (ONE, 400, "in ensemble 'pixelis', limit_exceeded: too large", "limit_exceeded", None),
        (ONE, 400, "unexpected shape for input 'IMAGE'", "Triton's own", None),
        (WHOLE, 503, "deadline_exceeded: Not done in time.", "deadline_exceeded", None),
        (ONE, 503, "deadline_exceeded: Not done in time.", "deadline_exceeded", "503: "),
        (ONE, 500, "serving: Model `visual_ops` failed on this request (KeyError).", "serving", "500: serving"),
        (ONE, 500, "Stub process 'visual_ops_0_0' is not healthy.", "Triton's own", "500: Stub"),
        (ONE, 503, "unavailable: Model `ocr_detect` is not up.", "unavailable", "503: "),
        (ONE, 400, "serving: Model failed.", "serving", "called the caller's fault"),
        (ONE, 400, "invalid_image: Traceback (most recent call last)", "invalid_image", "not for readers"),
        (ONE, 400, "invalid_image: " + "x" * 5000, "invalid_image", "not for readers"),
        (ONE, 200, group("serving: Model failed."), "error in the result", "not the caller's"),
        (ONE, 200, result("Both.", lines=[]), "error in the result", "a result and an error"),
        (ONE, 200, "{", "malformed", "the result is none"),
        (WHOLE, 200, result(lines=[]), "malformed", "the result is none"),
        (ONE, 0, "timed out", "no answer", "no answer after 60 s: timed out"),
    ],
)
def test_what_an_answer_is(asked: Case, status: int, said: str, outcome: str, fault: str | None) -> None:
    found, why = judged(asked, Answer(status, said, 60.0))
    assert found == outcome
    assert (why is None) == (fault is None)
    assert (fault or "") in (why or "")
