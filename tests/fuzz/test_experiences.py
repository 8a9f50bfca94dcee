"""Snapshots, entries of the log and of the replicas' stream, index files, and files that are imported."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from pixelis.errors import InvalidRequest, NotFound, SetupError
from pixelis.index_config import IndexConfig
from pixelis.schema import Experience
from python_backends.experience import snapshot
from python_backends.experience.asked import Asked, AskedRequests
from python_backends.experience.database import log_after, migrate
from python_backends.experience.database.digests import digest
from python_backends.experience.entry import Entry, Key
from python_backends.experience.indexes import open_index, read_index
from python_backends.experience.memory import Memory
from python_backends.experience.population import Population
from python_backends.experience.records import plan
from python_backends.experience.replicas import wire
from python_backends.experience.transfer import json_lines
from tests.fuzz import said
from tests.fuzz.odd import damaged, json_bytes, odd, tampered
from tests.fuzz.run import Fuzz, parsed

pytestmark = pytest.mark.filterwarnings("ignore")  # of numpy, at heads of Python 2
WIDTH = 4
HEAD = {"format": 1, "width": WIDTH, "store": "s", "sequence": 7, "position": "1-2"}


def _snapshot(rng: Random) -> bytes:
    """A snapshot whose lines, head, keys or bytes are often wrong, with a checksum that mostly fits."""
    rows = [said.experience(rng) for _ in range(rng.randrange(3))], [said.asked(rng) for _ in range(rng.randrange(3))]
    lines = [[i, one] for i, one in enumerate([*rows[0], *rows[1]])]
    if lines and rng.random() < 0.5:
        lines = [tampered(rng, line, rng.choice((0, 1)), ["tenant", "asked"]) for line in lines]
    text = b"".join(json_bytes(rng, line).replace(b"\n", b" ") + b"\n" for line in lines)
    head = {**HEAD, "text": len(text), "experiences": len(rows[0]), "asked": len(rows[1])}
    if rng.random() < 0.3:
        head = tampered(rng, head, 1)
    keys = rng.randbytes(4 * WIDTH * (len(rows[0]) + len(rows[1])) + rng.choice((0, 0, 0, 0, 1, 16)))
    body = json.dumps(head).encode() + b"\n" + text + keys
    body = damaged(rng, body, 1) if rng.random() < 0.2 else body
    whole = body + hashlib.blake2b(body, digest_size=32).digest()
    return damaged(rng, whole, 1) if rng.random() < 0.2 else whole


def test_snapshots(fuzz: Fuzz, tmp_path: Path) -> None:
    path = tmp_path / "experiences-000000000007.snapshot"

    def holds(data: bytes) -> bool:
        path.write_bytes(data)
        held = parsed(lambda: snapshot.read(path), SetupError)
        if held is None:
            return False
        assert held.keys.shape == (len(held.experiences), held.width)
        assert held.asked_keys.shape == (len(held.asked), held.width)
        assert all(isinstance(row, int) and isinstance(one, Experience) for row, one in held.experiences)
        assert all(isinstance(row, int) and isinstance(one, Asked) for row, one in held.asked)
        assert hashlib.blake2b(data[:-32], digest_size=32).digest() == data[-32:]
        return True

    fuzz.loop(_snapshot, holds)


def _record(rng: Random) -> dict[str, Any]:
    name, ids = rng.choice("ab"), [["a"], ["b", "c", "b"], []]
    forms: list[dict[str, Any]] = [
        {"op": "insert", "experience": said.experience(rng), "capacity": rng.choice((0, 1, 9))},
        {"op": "asked", "asked": said.asked(rng), "again": rng.random() < 0.5, "capacity": 9},
        {"op": "again", "id": name, "created_at": 1e9},
        {
            "op": "judged",
            "asked": said.asked(rng),
            "experience": rng.choice((None, said.experience(rng))),
            "credited": rng.choice(ids),
            "uncredited": rng.choice(ids),
            "removed": rng.choice(ids),
            "capacity": rng.choice((0, 1, 9)),
        },
        {"op": "delete", "id": name},
        {"op": "success", "id": name},
        {"op": "retrieved", "ids": rng.choice(ids)},
    ]
    return rng.choice(forms)


def _entry(rng: Random) -> Entry:
    key: Key | None = np.frombuffer(rng.randbytes(4 * WIDTH), np.float32)
    if rng.random() < 0.3:
        key = rng.choice((None, np.ones(WIDTH + 1, np.float32), np.full(WIDTH, np.nan, np.float32)))
    elif not np.isfinite(key).all():  # type: ignore[arg-type]
        key = np.ones(WIDTH, np.float32)
    return Entry(tampered(rng, _record(rng), rng.choice((0, 0, 1, 2)), ["op", "id", "asked"]), key)


def _memory() -> Memory:
    """What is there: experiences `a` and `b`, and the request `r1`."""
    memory = Memory(Population(WIDTH), AskedRequests(2))
    rng, ones = Random(1), np.ones(WIDTH, np.float32)
    for sequence, name in enumerate("ab"):
        added = Experience.model_validate({**said.experience(rng), "experience_id": name})
        memory.population.add([added], ones[None], [sequence])
    memory.asked.note(Asked.model_validate({**said.asked(rng), "request_id": "r1"}), ones)
    return memory


def _row(rng: Random) -> tuple[bytes, bytes | None]:
    """A record and the bytes of its key."""
    entry = _entry(rng)
    data = json_bytes(rng, entry.record)
    key = None if entry.key is None else entry.key.tobytes()[: rng.choice((None, None, None, None, -1))]
    return damaged(rng, data, 1) if rng.random() < 0.1 else data, key


def test_entries_of_the_log(fuzz: Fuzz) -> None:
    memory = _memory()
    before = _said(memory)
    log = sqlite3.connect(":memory:")
    migrate(log)

    def read(record: bytes, vector: bytes | None) -> Entry:
        log.execute("DELETE FROM log")
        log.execute("DELETE FROM keys")
        log.execute("INSERT INTO log VALUES (1, ?, ?, '')", (record, digest(1, record, "")))
        if vector is not None:
            log.execute("INSERT INTO keys VALUES (1, ?, ?)", (vector, digest(1, vector)))
        (logged,) = log_after(log, 0)
        return logged.entry

    def holds(case: tuple[bytes, bytes | None]) -> bool:
        entry = parsed(lambda: read(*case), SetupError)
        if entry is None:
            return False
        effects = parsed(lambda: plan(memory, entry), NotFound, InvalidRequest, SetupError)
        if effects is None:
            return False
        undo = memory.apply(effects, entry.key, 10)
        for one in memory.population.lowest(len(memory.population), frozenset()):
            assert _text(Experience.model_validate_json(_text(one))) == _text(one)
        memory.undo(undo)
        assert _said(memory) == before
        return True

    fuzz.loop(_row, holds)


def _said(memory: Memory) -> tuple[list[str], list[str]]:
    living = [memory.population.get(name) for name in "ab"]
    return [_text(one) for one in living if one], [_text(one) for one, _ in memory.asked.everything()]


def _text(one: BaseModel) -> str:
    """As it is written; what is no number in JSON is null there."""
    return one.model_dump_json()


def _streamed(rng: Random) -> tuple[bytes, dict[bytes, bytes]]:
    entry = _entry(rng)
    fields = {b"record": json_bytes(rng, entry.record), b"key": b"" if entry.key is None else entry.key.tobytes()}
    if rng.random() < 0.3:
        name = rng.choice(list(fields))
        fields[name] = damaged(rng, fields[name], 1)
    fields[b"digest"] = digest(fields[b"record"], fields[b"key"])
    if rng.random() < 0.2:
        fields[rng.choice(list(fields))] = rng.randbytes(rng.randrange(20))
    if rng.random() < 0.1:
        del fields[rng.choice(list(fields))]
    return (damaged(rng, b"1700000000000-12", rng.choice((0, 0, 0, 1)))), fields


def test_entries_of_the_replicas(fuzz: Fuzz) -> None:
    memory = _memory()

    def holds(case: tuple[bytes, dict[bytes, bytes]]) -> bool:
        position, fields = case
        made = parsed(lambda: wire.decode(position, fields), SetupError)
        if made is None:
            return False
        wire.order(made.position)
        again = wire.decode(position, wire.encode(made.entry)).entry
        assert again.record == made.entry.record
        assert (again.key is None) == (made.entry.key is None)
        parsed(lambda: plan(memory, made.entry), NotFound, InvalidRequest, SetupError)
        return True

    fuzz.loop(_streamed, holds)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Of an index of three vectors."""
    index = open_index(IndexConfig(), WIDTH)
    index.add(np.arange(3, dtype=np.int64), np.eye(3, WIDTH, dtype=np.float32))
    path = tmp_path_factory.mktemp("index") / "index"
    index.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _index(parts: dict[str, bytes]) -> Callable[[Random], bytes]:
    def make(rng: Random) -> bytes:
        """FAISS's own part only ever changes with its checksum unchanged: whoever may write it can write anything."""
        made = dict(parts)
        if rng.random() < 0.5:
            name = rng.choice(("meta.json", "rows.npy", "alive.npy"))
            if name == "meta.json" and rng.random() < 0.7:
                meta = json.loads(made[name])
                meta["config"]["index"] = {"kind": rng.choice(("flat", "flat", "ivf_flat", "ivf_pq", "lsh"))}
                made[name] = json_bytes(rng, tampered(rng, meta))
            else:
                made[name] = damaged(rng, made[name], 1)
        if rng.random() < 0.1:
            del made[rng.choice(list(made))]
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_STORED,) * 9 + (zipfile.ZIP_DEFLATED,))) as archive:
            for name, data in made.items():
                archive.writestr(name, data)
        return damaged(rng, out.getvalue(), 1) if rng.random() < 0.4 else out.getvalue()

    return make


def test_index_files(fuzz: Fuzz, parts: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "index"

    def holds(data: bytes) -> bool:
        path.write_bytes(data)
        index = parsed(lambda: read_index(path), SetupError)
        if index is not None:
            assert len(index) <= 3
        return index is not None

    fuzz.loop(_index(parts), holds)


def test_imported_lines(fuzz: Fuzz, tmp_path: Path) -> None:
    path = tmp_path / "experiences.jsonl"

    def make(rng: Random) -> bytes:
        key: Any = rng.choice(("AACAPwAAgD8=", [1, 2.5], [], "", [1e300]))
        row = {"experience": said.experience(rng), "key": odd(rng) if rng.random() < 0.2 else key}
        data = json.dumps(tampered(rng, row, rng.choice((0, 0, 1)), ["key"])).encode(errors="surrogatepass")
        return damaged(rng, data, 1) if rng.random() < 0.3 else data

    def holds(data: bytes) -> bool:
        path.write_bytes(data)
        rows = parsed(lambda: list(json_lines.read(path)), InvalidRequest)
        if rows is None:
            return False
        assert all(row.key.dtype == np.float32 for row in rows)
        json_lines.write(path, rows)
        again = list(json_lines.read(path))
        assert [_text(row.experience) for row in again] == [_text(row.experience) for row in rows]
        return True

    fuzz.loop(make, holds)
