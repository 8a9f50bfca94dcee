"""A load generator whose workers are gone is not waited for."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from perf import perf_analyzer, standstill
from perf.perf_analyzer import PerfAnalyzer
from perf.standstill import Standstill
from pixelis.errors import ServingError

SLEEPS = "import time; print('begun', flush=True); time.sleep(60)"
WORKS = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); time.sleep(60)"


@pytest.mark.parametrize(("code", "over"), [(SLEEPS, True), (WORKS, False)])
def test_a_single_thread_asleep_stands_still(code: str, over: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as process:
        time.sleep(0.5)  # it starts, which takes time of a core
        watch = Standstill(process.pid, after_s=0.5)
        found = []
        for _ in range(15):
            found.append(watch.over())
            time.sleep(0.1)
        process.kill()
    assert found[-1] is over
    assert not found[0]


def _tool(folder: Path, script: str) -> PerfAnalyzer:
    program = folder / "perf_analyzer"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return PerfAnalyzer(program, folder, "none")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_analyzer, "LOOK_S", 0.1)
    monkeypatch.setattr(standstill.Standstill.__init__, "__defaults__", (0.5,))


def test_it_is_run_again(tmp_path: Path) -> None:
    tool = _tool(tmp_path, f"test -e {tmp_path}/once && echo report && exit 0; touch {tmp_path}/once; exec sleep 60")
    assert tool.run([], 30.0) == "report\n"


def test_one_that_always_stands_still_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="stood still 3 times"):
        _tool(tmp_path, "exec sleep 60").run([], 30.0)


def test_time_is_up(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="did not end within 0 s"):
        _tool(tmp_path, "exec sleep 60").run([], 0.2)
