"""`pixelis bench fuzz` without a server: which answers are faults, and that a case can be sent again."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from perf.ops.fuzz import claims, rows
from perf.ops.fuzz_case import Case, case, load
from perf.ops.fuzz_judge import judged
from perf.ops.fuzz_run import Eyes, Found, fuzz
from perf.ops.fuzz_send import Answer
from pixelis.errors import InvalidRequest
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


def test_cases_are_the_same_again_and_come_back_from_their_file(tmp_path: Path) -> None:
    for number in range(30):
        made = case(2, number)
        assert made == case(2, number)
        assert load(made.saved(tmp_path, "why")) == made
    (tmp_path / "other.json").write_text(json.dumps({"seed": 1}))
    with pytest.raises(InvalidRequest, match="no case of a fuzz run"):
        load(tmp_path / "other.json")


class Sender:
    """Answers all but the cases that it is told of."""

    def __init__(self, bad: dict[int, Answer]) -> None:
        self.bad, self.threads, self.closed = bad, set[int](), False

    def __call__(self, asked: Case) -> Answer:
        self.threads.add(threading.get_ident())
        return self.bad.get(asked.number, Answer(400, "invalid_image: The image is empty.", 0.01))

    def close(self) -> None:
        self.closed = True


def run(sender: Sender, restarts: list[str | None], total: int = 120) -> tuple[Found, list[tuple[int, str]]]:
    told: list[tuple[int, str]] = []
    done: list[int] = []
    sizes = iter((100.0, 110.0, 111.0))
    eyes = Eyes(
        lambda: restarts.pop(0) if restarts else None,
        lambda: {"visual_ops": next(sizes)},
        lambda: done.append(1),
        lambda one, why: told.append((one.number, why)),
    )
    cases = (Case(1, number, "visual_ops", "grpc", "", [], b"") for number in range(total))
    found = fuzz(cases, total, sender, eyes, at_once=3)  # type: ignore[arg-type]
    assert len(done) == total
    return found, told


def test_a_run_without_faults() -> None:
    found, told = run(Sender({}), [])
    assert (told, found.faults, found.restarts) == ([], [], [])
    assert [claim.met for claim in claims(found)] == [True, True, True]
    assert rows(found)[0] == {"row": "cases", "model": "visual_ops", "way": "grpc", "cases": 120, "invalid_image": 120}
    assert rows(found)[-1]["end_mib"] == 111.0


def test_faults_and_restarts_are_told_at_once_and_counted() -> None:
    found, told = run(Sender({40: Answer(500, "serving: x", 0.1), 90: Answer(0, "gone", 1.0)}), [None, "it ended"])
    assert [(one.number, why[:3]) for one, why in found.faults] == [(40, "500"), (90, "no ")]
    assert len(found.restarts) == 1
    assert {40, 90} < {number for number, _ in told}
    assert [claim.met for claim in claims(found)] == [False, False, True]
    assert [row["number"] for row in rows(found) if row["row"] == "fault"] == [40, 90]


def test_what_a_sender_raises_ends_the_run() -> None:
    class Broken(Sender):
        def __call__(self, asked: Case) -> Answer:
            raise KeyError(asked.number)

    with pytest.raises(KeyError):
        run(Broken({}), [])


def test_memory_that_grows_on_is_no_success() -> None:
    found, _ = run(Sender({}), [])
    found.memory[-1] = {"visual_ops": 130.0}
    assert not claims(found)[-1].met
