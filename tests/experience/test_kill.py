"""Processes that are killed in the middle of what they write. `PIXELIS_KILLS=200` makes it 200 times."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pixelis.settings import Retrieval
from python_backends.experience import ExperienceStore
from tests.experience.conftest import WIDTH

ROUNDS = int(os.environ.get("PIXELIS_KILLS", "8"))
CAPACITY, GROUP = 60, 5
ROOT = Path(__file__).parents[2]

WRITER = """
import json, random, sys
from pathlib import Path
from pixelis.settings import Retrieval
from python_backends.experience import ExperienceStore
from tests.experience.conftest import WIDTH, experience, key

directory, start, capacity = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(start)
store = ExperienceStore(directory, Retrieval(capacity=capacity), width=WIDTH, snapshot_every=25)

def say():
    print(json.dumps([store.epoch, {one.experience_id: one.answer for one in store._population.living()}]), flush=True)

say()
for i in range(start, start + 10**6):
    action = chance.random()
    living = sorted(one.experience_id for one in store._population.living())
    if action < 0.15 and living:
        store.delete(chance.choice(living))
    elif action < 0.2:
        store.snapshot()
    elif action < 0.23:
        store.compact()
    elif action < 0.3:
        with store.together():
            for n in range(GROUP):
                store.insert(experience(f"{i}.{n}", chance.random()), key(i * 10 + n))
    else:
        store.insert(experience(str(i), chance.random()), key(i * 10 + 9))
    say()
"""


def killed(directory: Path, start: int, after_s: float) -> list[tuple[int, dict[str, str]]]:
    """The states (last change, living) that a writer had acknowledged when it was killed, `after_s` after its start."""
    code = WRITER.replace("GROUP", str(GROUP))
    command = [sys.executable, "-c", code, str(directory), str(start), str(CAPACITY)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [json.loads(writer.stdout.readline())]
        timer = threading.Timer(after_s, writer.send_signal, [signal.SIGKILL])
        timer.start()
        said += [json.loads(line) for line in writer.stdout if line.endswith("\n")]
        timer.join()
    assert writer.returncode == -signal.SIGKILL
    return [(epoch, living) for epoch, living in said]


@pytest.mark.timeout(60 + 5 * ROUNDS)
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance, changes, more, ids = random.Random(6), 0, 0, dict[str, str]()
    for number in range(ROUNDS):
        said = killed(tmp_path, number * 10**5, chance.uniform(0.0, 0.3))
        store = ExperienceStore(tmp_path, Retrieval(capacity=CAPACITY, cold_start_threshold=0), width=WIDTH)
        epoch, before = said[-1]
        after = {one.experience_id: one.answer for one in store._population.living()}
        beyond = store.epoch - epoch  # written, but not acknowledged any more
        assert 0 <= beyond <= GROUP
        assert len(before.keys() - after.keys()) <= beyond
        assert len(after.keys() - before.keys()) <= beyond
        for one in after.keys() & ids.keys():
            assert ids[one] == after[one], "an id came twice"
        ids |= after | {one: answer for _, living in said for one, answer in living.items()}
        assert len(after) == len(store) == store.stats()["indexed"] <= CAPACITY
        assert store.verify().faults == []
        assert store.stats()["faults"] == []
        store.close()
        changes, more = changes + len(said) - 1, more + (beyond > 0)
    print(f"\n{ROUNDS} kills, {changes} acknowledged changes, none lost; {more} were written and not acknowledged")
