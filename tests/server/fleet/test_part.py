"""Processes of a fleet: what dies is started again, ever later; what is asked to end is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixelis.errors import Unavailable
from server.fleet import part as parts
from server.fleet.part import Part
from server.fleet.replica import processors

Make = Callable[..., Part]
SLEEPS = "import time; time.sleep(60)"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Part] = []

    def one(code: str = SLEEPS, answers: Callable[[], bool] = lambda: True, **more: object) -> Part:
        command = [sys.executable, "-c", code]
        made.append(Part("one", command, dict(os.environ), tmp_path / "one.log", answers, **more))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for part in made:
        part.ask_to_end()
        part.await_end()


def looked(part: Part, until: Callable[[], bool], seconds: float = 10.0) -> list[str]:
    """What it says while it is looked at until something is the case."""
    said, end = [], time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, part
        said.append(part.look())
        time.sleep(0.01)
    return [line for line in said if line]


def test_it_is_ready_when_it_answers_and_not_before(make: Make) -> None:
    answers = [False]
    part = make(answers=lambda: answers[0])
    part.start()
    part.look()
    assert part.state == "starting"
    answers[0] = True
    assert looked(part, lambda: part.state == "ready") == []
    assert part.pid is not None
    assert part.restarts == 0


def test_what_dies_is_started_again_and_later_each_time(make: Make) -> None:
    part = make("raise SystemExit(3)", answers=lambda: False)
    part.start()
    said = looked(part, lambda: part.restarts == 2)
    pauses = [line for line in said if "exit code 3" in line]
    assert "0.2 s" in pauses[0]
    assert "0.4 s" in pauses[1]


def test_a_start_that_fails_is_told_to_whoever_waits(make: Make) -> None:
    part = make("raise SystemExit(3)", answers=lambda: False)
    part.start()
    part.require_alive()
    looked(part, lambda: part.state == "waiting")
    with pytest.raises(Unavailable, match="exit code 3"):
        part.require_alive()


def test_what_is_asked_to_end_stays_away(make: Make) -> None:
    part = make()
    part.start()
    looked(part, lambda: part.state == "ready")
    part.ask_to_end()
    part.await_end()
    part.look()
    assert (part.state, part.pid) == ("stopped", None)


def test_what_does_not_end_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "KILL_AFTER_S", 0.1)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    part = make(deaf, grace_s=0.1)
    part.answers = lambda: "deaf" in part.log.read_text(encoding="utf-8")
    part.start()
    looked(part, lambda: part.state == "ready")
    part.ask_to_end()
    part.await_end()
    assert part.process is not None
    assert part.process.returncode == -signal.SIGKILL


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
from pathlib import Path
from server.fleet.part import Part
from server.fleet.replica import processors
part = Part("one", [sys.executable, "-c", {SLEEPS!r}], dict(os.environ), Path({str(tmp_path)!r}) / "log", lambda: True)
part.start()
print(part.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()


def test_it_is_bound_to_its_processors(make: Make) -> None:
    one = max(os.sched_getaffinity(0))
    part = make(processors=frozenset({one}))
    part.start()
    assert part.pid is not None
    assert os.sched_getaffinity(part.pid) == {one}


def test_each_replica_has_processors_of_its_own_while_they_last() -> None:
    assert [processors(number, 2, (0, 1, 4, 5, 6)) for number in (1, 2, 3)] == [{0, 1}, {4, 5}, {6, 0}]
    assert processors(2, 8, (0, 1)) == {0, 1}
