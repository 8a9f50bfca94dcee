"""Indexes are built and chosen in a process of its own, which may die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pixelis.errors import ServingError
from pixelis.index_config import IndexConfig
from python_backends.experience.aside import Aside, Block, run
from python_backends.experience.aside.block import mapped
from python_backends.experience.aside.gently import SHARE, gently
from python_backends.experience.aside.learn import build_aside
from python_backends.experience.indexes import open_index
from python_backends.experience.live import LiveIndex, worker
from python_backends.experience.tuning import Limits
from python_backends.experience.tuning.retune import retuner
from python_backends.experience.tuning.truth import fill
from tests.experience.indexes.configs import WIDTH, recall
from tests.experience.live.test_live_index import CONFIGS, LIVE, POOL, QUERIES

ROOT = Path(__file__).parents[3]
TRUTH = np.argsort(-(QUERIES @ POOL.T), axis=1)[:, :10]
every = pytest.mark.parametrize("name", CONFIGS)


@pytest.fixture(autouse=True)
def _always_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "APART_FROM", 0)


def running(index: LiveIndex) -> int:
    """The process that builds for `index`, once there is one."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        pid = index._worker._aside.pid
        if pid is not None:
            return pid
        time.sleep(0.001)
    raise AssertionError("no process was started")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_block_is_what_was_put_into_it() -> None:
    with Block(WIDTH, (POOL[i : i + 7] for i in range(0, 70, 7))) as block:
        assert block.count == 70
        assert (np.concatenate(list(block.slices(16))) == POOL[:70]).all()
        assert (mapped(block.descriptor, block.count, WIDTH) == POOL[:70]).all()
    with Block(WIDTH) as block:
        assert mapped(block.descriptor, block.count, WIDTH).shape == (0, WIDTH)


@every
def test_what_is_built_aside_is_what_is_built_here(name: str) -> None:
    base = fill(open_index(IndexConfig(), WIDTH), POOL)
    base.freeze()
    base.remove(np.array([5, 17]))
    made = open_index(CONFIGS[name], WIDTH)
    build_aside(made, base, lambda count: count // 2, Aside(), lambda: None)
    assert len(made) == len(POOL) - 2
    kept = np.setdiff1d(np.arange(len(POOL)), [5, 17])
    assert (made.vectors(kept) == POOL[kept]).all()
    here = fill(open_index(CONFIGS[name], WIDTH), POOL[kept])
    numbers = here.search(QUERIES, 10)[1]
    assert recall(made.search(QUERIES, 10)[1], kept[numbers]) > 0.95
    made.freeze(len(made) // 2)
    made.add(np.array([9000]), QUERIES[:1])
    assert made.exact(QUERIES[:1], 1)[1].tolist() == [[9000]]
    assert (made.search(QUERIES[:1], 500)[1] == 9000).sum() == 1
    assert made.remove(np.array([9000])) == 1


def test_a_process_that_is_killed_is_followed_by_another_and_searches_go_on() -> None:
    index = LiveIndex(CONFIGS["hnsw"], WIDTH, live=LIVE)
    index.add(np.arange(1000), POOL[:1000])
    os.kill(running(index), signal.SIGKILL)
    searched = 0
    while not index.settle(0):
        assert index.search(POOL[7:8], 1)[1].tolist() == [[7]]
        searched += 1
    assert searched > 10
    parameters = index.parameters()
    assert (parameters["died"], parameters["fault"], parameters["base"]) == (1, None, 1000)
    assert len(index) == 1000


def test_a_process_that_tunes_and_is_killed_is_counted_too() -> None:
    index = LiveIndex(CONFIGS["hnsw"], WIDTH, live=LIVE, tuner=retuner(Limits(recall=0.5)))
    index.add(np.arange(1000), POOL[:1000])
    assert index.settle(30)
    index.retune()
    os.kill(running(index), signal.SIGKILL)
    assert index.settle(60)
    assert (index.parameters()["died"], index.parameters()["fault"], len(index)) == (1, None, 1000)


def test_a_process_that_tunes_works_in_turns() -> None:
    base, aside, states = fill(open_index(IndexConfig(), WIDTH), POOL), Aside(), set()

    def between() -> None:
        if aside.pid is not None:
            states.add(Path(f"/proc/{aside.pid}/stat").read_text().rpartition(")")[2].split()[0])
        if {"T", "R"} <= states:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retuner(Limits(recall=0.9))(base, QUERIES, aside, between)
    assert aside.pid is None


def test_gently_is_the_same_with_pauses() -> None:
    looked = []

    def slices() -> Iterator[int]:
        for number in range(5):
            time.sleep(0.002)
            yield number

    begun = time.perf_counter()
    assert list(gently(slices(), lambda: looked.append(1))) == [0, 1, 2, 3, 4]
    assert time.perf_counter() - begun >= 5 * 0.002 / SHARE
    assert len(looked) == 5


def test_processes_that_always_die_are_a_fault_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    index = LiveIndex(CONFIGS["ivf_pq+refine"], WIDTH, live=LIVE)
    monkeypatch.setattr(run, "PROGRAM", "there.is.none")
    index.add(np.arange(1000), POOL[:1000])
    assert index.settle(30)
    parameters = index.parameters()
    assert parameters["died"] == run.TRIES
    assert "ended with status 1, 3 times" in str(parameters["fault"])
    assert recall(index.search(QUERIES, 10)[1], np.argsort(-(QUERIES @ POOL[:1000].T), axis=1)[:, :10]) == 1
    monkeypatch.undo()
    monkeypatch.setattr(worker, "APART_FROM", 0)
    index.rebuild()
    assert index.settle(30)
    assert (index.parameters()["fault"], index.parameters()["base"]) == (None, 1000)


def test_a_process_that_gets_no_time_is_followed_by_one_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "IDLE_S", 0.0)
    index = LiveIndex(CONFIGS["hnsw"], WIDTH, live=LIVE)
    index.add(np.arange(400), POOL[:400])
    assert index.settle(30)
    assert (index.parameters()["died"], index.parameters()["fault"], index.parameters()["base"]) == (1, None, 400)


def test_closing_ends_the_process() -> None:
    index = LiveIndex(CONFIGS["hnsw"], WIDTH, live=LIVE)
    index.add(np.arange(1000), POOL[:1000])
    pid = running(index)
    index.close()
    assert not alive(pid)
    assert index.search(POOL[7:8], 1)[1].tolist() == [[7]]


PARENT = """
import numpy as np
from python_backends.experience.live import LiveIndex, worker
from tests.experience.aside.test_aside import running
from tests.experience.live.test_live_index import CONFIGS, LIVE, POOL, WIDTH

worker.APART_FROM = 0
index = LiveIndex(CONFIGS["hnsw"], WIDTH, live=LIVE)
index.add(np.arange(3000), POOL)
print(running(index), flush=True)
input()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_its_parent(how: signal.Signals) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(how)
        parent.wait(10)
    until = time.monotonic() + 5
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(pid)


def test_a_tuner_gives_up_where_it_is_told_to() -> None:
    base = fill(open_index(IndexConfig(), WIDTH), POOL)
    aside, calls = Aside(), 0

    def between() -> None:
        nonlocal calls
        calls += aside.pid is not None
        if calls == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retuner(Limits(recall=0.9))(base, QUERIES, aside, between)
    assert aside.pid is None
    assert aside.died == 0
    with Block(WIDTH, [POOL]) as block, pytest.raises(ServingError):
        aside.run({"task": "nothing"}, [block], lambda: None)
