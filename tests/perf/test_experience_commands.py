"""`pixelis experience import|export|verify|compact`."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pixelis.cli import app
from pixelis.errors import SetupError
from pixelis.schema import Action
from pixelis.settings import Retrieval, settings
from python_backends.experience import WIDTH, ExperienceStore
from python_backends.experience.database import FILE
from python_backends.experience.transfer import parquet
from tests.experience.conftest import experience, key

Run = Callable[..., Result]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory; its path."""
    monkeypatch.setenv("PIXELIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PIXELIS_RETRIEVAL__COLD_START_THRESHOLD", "0")
    settings.cache_clear()
    yield tmp_path / "state"
    settings.cache_clear()


@pytest.fixture
def run(machine: Path) -> Run:
    def call(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["experience", *words])
        assert result.exit_code == code, result.output
        return result

    return call


def directory(machine: Path) -> Path:
    return machine / "experiences"


def filled(machine: Path, count: int = 30) -> dict[str, Any]:
    """Fills the store; what it holds."""
    store = ExperienceStore(directory(machine), Retrieval(cold_start_threshold=0))
    steps = [Action(type="VISUAL_OPERATION", operation="ZOOM_IN", arguments={"region": [0, 1, 2, 3]})]
    for i in range(count):
        store.insert(experience(f"a\u2028{i}", confidence=i / 100, trajectory=steps), key(i, WIDTH))
    store.search(key(3, WIDTH)[None], 4, count=True)
    held = contents(store)
    store.close()
    return held


def contents(store: ExperienceStore) -> dict[str, Any]:
    living, _, keys = store._population.everything()
    return {one.experience_id: (one, row.tobytes()) for one, row in zip(living, keys, strict=True)}


def reopened(machine: Path) -> dict[str, Any]:
    store = ExperienceStore(directory(machine), Retrieval(cold_start_threshold=0))
    try:
        return contents(store)
    finally:
        store.close()


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_there_and_back(machine: Path, run: Run, tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow cannot be installed here")
    held = filled(machine)
    file = tmp_path / f"out.{kind}"
    assert json.loads(run("export", str(file), "--json").stdout) == {"count": 30, "file": str(file)}
    directory(machine).rename(tmp_path / "old")
    found = json.loads(run("import", str(file), "--json").stdout)
    assert found == {"added": 30, "known": 0, "evicted": 0, "count": 30}
    assert reopened(machine) == held, "bit for bit, counters and ages too"
    assert json.loads(run("import", str(file), "--json").stdout)["known"] == 30
    assert "All agree" in run("verify").stdout


def test_more_than_there_is_room_for(machine: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(machine)
    file = tmp_path / "out.jsonl"
    run("export", str(file))
    directory(machine).rename(tmp_path / "old")
    monkeypatch.setenv("PIXELIS_RETRIEVAL__CAPACITY", "12")
    settings.cache_clear()
    assert json.loads(run("import", str(file), "--json").stdout) == {
        "added": 30,
        "known": 0,
        "evicted": 18,
        "count": 12,
    }


def test_what_other_programs_write(machine: Path, run: Run, tmp_path: Path) -> None:
    one = {"question": "What?", "answer": "red", "confidence": 0.5, "created_at": 1.0, "experience_id": ""}
    (tmp_path / "in").write_text(json.dumps({"experience": one, "key": key(1, WIDTH).tolist()}) + "\n\n")
    run("import", str(tmp_path / "in"), "--format", "jsonl")
    ((made, vector),) = reopened(machine).values()
    assert (made.answer, len(made.experience_id), vector) == ("red", 26, key(1, WIDTH).tobytes())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "Line 2"),
        ('{"experience": {}, "key": []}', "Line 2"),
        ("short", r"shape \[8\]"),
        ("twice", "is there twice"),
    ],
)
def test_a_file_with_a_fault_changes_nothing(machine: Path, run: Run, tmp_path: Path, line: str, says: str) -> None:
    good = {"experience": json.loads(experience(experience_id="x").model_dump_json()), "key": key(1, WIDTH).tolist()}
    line = {"short": json.dumps({**good, "key": key(1).tolist()}), "twice": json.dumps(good)}.get(line, line)
    (tmp_path / "bad.jsonl").write_text(json.dumps(good) + "\n" + line)
    result = run("import", str(tmp_path / "bad.jsonl"), "--json", code=1)
    error = json.loads(result.stdout)
    assert error["code"] == "invalid_request"
    assert re.search(says, error["error"])
    assert reopened(machine) == {}


def test_while_a_server_has_the_directory(machine: Path, run: Run, tmp_path: Path) -> None:
    filled(machine)
    store = ExperienceStore(directory(machine), Retrieval())
    (tmp_path / "in.jsonl").touch()
    for words in (["import", str(tmp_path / "in.jsonl")], ["compact"]):
        error = json.loads(run(*words, "--json", code=1).stdout)
        assert error["code"] == "unavailable"
        assert "A server has the experiences" in error["error"]
        assert "Stop it" in error["mend"]
    run("export", str(tmp_path / "out.jsonl"))
    run("verify")
    store.close()
    run("compact")


@pytest.mark.parametrize("command", [["export", "x.jsonl"], ["verify"], ["compact"]])
def test_without_experiences(run: Run, command: list[str]) -> None:
    assert "PIXELIS_STATE" in json.loads(run(*command, "--json", code=1).stdout)["mend"]


def test_formats(machine: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(machine, 2)
    assert "jsonl or parquet" in run("export", str(tmp_path / "x.csv"), code=1).output
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SetupError, match="pyarrow") as caught:
        parquet.write(tmp_path / "x.parquet", [])
    assert "pixelis-serving[parquet]" in str(caught.value.mend)
    assert not list(tmp_path.glob("x*"))


def test_compacting(machine: Path, run: Run) -> None:
    held = filled(machine)
    store = ExperienceStore(directory(machine), Retrieval(cold_start_threshold=0))
    for identifier in sorted(held)[:20]:
        store.delete(identifier)
    store.close()
    said = json.loads(run("compact", "--json").stdout)
    assert said["count"] == 10
    assert said["bytes_after"] < said["bytes_before"] / 2
    connection = sqlite3.connect(directory(machine) / FILE)
    assert connection.execute("SELECT count(*) FROM log").fetchone() == (1,)
    connection.close()
    assert reopened(machine) == {name: held[name] for name in sorted(held)[20:]}
    run("verify")


def faults(run: Run) -> str:
    return " | ".join(json.loads(run("verify", "--json", code=1).stdout)["faults"])


@pytest.mark.parametrize("what", ["body", "key", "row", "snapshot", "log"])
def test_a_planted_disagreement_is_found(machine: Path, run: Run, what: str) -> None:
    """Each with the right checksum, so that only the comparison can see it."""
    filled(machine)
    store = ExperienceStore(directory(machine), Retrieval(cold_start_threshold=0))
    database, population = store._ledger.database, store._population
    one = next(iter(population.living()))
    row = population.row(one.experience_id)
    with database.writing():
        if what == "body":
            database._experience(row, one.model_copy(update={"answer": "another"}))
        elif what == "key":
            database._key(row, key(77, WIDTH).tobytes())
        elif what == "row":
            database._drop("experiences", row)
        elif what == "log":
            database.trim(5, [])
    if what == "snapshot":
        (path,) = directory(machine).glob("*.snapshot")
        path.write_bytes(path.read_bytes()[:-1])
    live = store.verify().faults
    store.close()
    words = {
        "body": "1 experiences say something else",
        "key": "index: 1 keys are others",
        "row": "1 experiences are not in the database",
        "snapshot": "is damaged",
        "log": "Entry 1 of the log is missing",
    }[what]
    assert words in " | ".join(live)
    if what not in ("key",):
        assert words in faults(run)


@pytest.mark.parametrize("what", ["index", "memory", "vector"])
def test_a_disagreement_in_a_live_store_is_found(machine: Path, what: str) -> None:
    filled(machine)
    store = ExperienceStore(directory(machine), Retrieval(cold_start_threshold=0))
    assert store.verify().faults == []
    population = store._population
    one = next(iter(population.living()))
    number = population._by_id[one.experience_id][0]
    if what == "memory":
        population.replace(one.model_copy(update={"success_count": 9}))
    else:
        population.index.remove(np.array([number]))
        if what == "vector":
            population._by_id[one.experience_id] = (population._next, 1)
            population._by_number[population._next] = one
            population.index.add(np.array([population._next]), key(99, WIDTH)[None])
    found = " | ".join(store.verify().faults)
    assert {"index": "29 keys for 30", "memory": "say something else", "vector": "are others"}[what] in found
    store.close()
