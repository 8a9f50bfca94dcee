"""Entries of the log that nobody of ours wrote: refused with the reason, and nothing of them is done."""

from __future__ import annotations

import sqlite3
from typing import Any

import numpy as np
import pytest

from pixelis.errors import SetupError
from pixelis.schema import MAX_COUNT
from python_backends.experience.asked import AskedRequests
from python_backends.experience.database import log_after, migrate
from python_backends.experience.database.digests import digest
from python_backends.experience.entry import Entry
from python_backends.experience.memory import Memory
from python_backends.experience.population import Population
from python_backends.experience.records import plan
from tests.experience.conftest import WIDTH, experience, key

LIVED = experience(experience_id="new").model_dump(mode="json")
INSERT = {"op": "insert", "experience": LIVED, "capacity": 3}
JUDGED = {
    "op": "judged",
    "asked": {"request_id": "r", "experience": LIVED, "answer": "a"},
    "experience": None,
    "credited": [],
    "uncredited": [],
    "removed": ["e", "e"],
    "capacity": 3,
}


@pytest.fixture
def memory() -> Memory:
    made = Memory(Population(WIDTH), AskedRequests(3))
    made.population.add([experience(experience_id="e")], key(1)[np.newaxis], [1])
    return made


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ([], "unknown entry"),
        ({}, "unknown entry"),
        ({"op": ["insert"]}, "unknown entry"),
        ({"op": "fly"}, "unknown entry \\('fly'\\)"),
        ({"op": "founded"}, "unknown entry"),
        ({"op": "delete"}, "`delete` that is wrong at `id`"),
        ({"op": "delete", "id": ["e"]}, "wrong at `id`"),
        ({"op": "retrieved", "ids": [["e"]]}, "wrong at `ids.0`"),
        ({"op": "retrieved", "ids": "e"}, "wrong at `ids`"),
        ({"op": "again", "id": "e", "created_at": float("nan")}, "wrong at `created_at`"),
        ({"op": "again", "id": "e", "created_at": "soon"}, "wrong at `created_at`"),
        ({**INSERT, "capacity": None}, "wrong at `capacity`"),
        ({**INSERT, "experience": {**LIVED, "confidence": 7}}, "wrong at `experience.confidence`"),
        ({**JUDGED, "credited": {"e": 1}}, "wrong at `credited`"),
    ],
)
def test_what_is_no_entry_says_why(memory: Memory, record: Any, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        plan(memory, Entry(record, key(2)))


@pytest.mark.parametrize(
    "vector",
    [
        None,
        key(2, WIDTH + 1),
        np.full(WIDTH, np.nan, np.float32),
        np.zeros(WIDTH, np.float32),
        np.full(WIDTH, 1e30, np.float32),
    ],
)
def test_what_is_to_be_kept_has_a_key(memory: Memory, vector: Any) -> None:
    """It was added without one, or refused by the index halfway, and index and database no longer agreed."""
    with pytest.raises(SetupError, match="without a key of 8 numbers"):
        plan(memory, Entry(INSERT, vector))


@pytest.mark.parametrize(
    ("record", "vector"), [("{", None), ("[" * 9999, None), ('{"op": "\\ud800"}', None), ("{}", b"abc")]
)
def test_a_checksum_alone_makes_no_entry(record: str, vector: bytes | None) -> None:
    """Whatever reading it raised ended the start, and what was read could not be written again."""
    log = sqlite3.connect(":memory:")
    migrate(log)
    log.execute("INSERT INTO log VALUES (1, ?, ?, '')", (record, digest(1, record, "")))
    if vector is not None:
        log.execute("INSERT INTO keys VALUES (1, ?, ?)", (vector, digest(1, vector)))
    with pytest.raises(SetupError, match="Entry 1 of the log is none"):
        list(log_after(log, 0))


def test_what_is_named_twice_goes_once(memory: Memory) -> None:
    """It went twice, and would have come back twice where the entry could not be written."""
    effects = plan(memory, Entry(JUDGED))
    assert effects.removed == ["e"]
    memory.undo(memory.apply(effects, None, 2))
    assert memory.population.everything()[1] == [1]


def test_counts_stay_counts() -> None:
    """One more than the most that is read would have made the experience one that nothing reads."""
    memory = Memory(Population(WIDTH), AskedRequests(3))
    full = experience(experience_id="e", retrieval_count=MAX_COUNT, success_count=MAX_COUNT, occurrences=MAX_COUNT)
    memory.population.add([full], key(1)[np.newaxis], [1])
    records = [
        {"op": "success", "id": "e"},
        {"op": "retrieved", "ids": ["e"]},
        {"op": "again", "id": "e", "created_at": 1},
    ]
    for record in records:
        (changed,) = plan(memory, Entry(record)).changed
        assert type(changed).model_validate_json(changed.model_dump_json()) == changed
