"""A fuzz run without a server: what it counts, tells and claims."""

from __future__ import annotations

import threading

import pytest

from perf.fuzz.bench import claims, rows
from perf.fuzz.case import Case
from perf.fuzz.run import Eyes, Found, fuzz
from perf.fuzz.send import Answer


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
