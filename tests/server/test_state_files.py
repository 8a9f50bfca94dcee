"""What others may have left in the state folder: passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server import health, remains

RECORD = {"server_id": "a", "supervisor": 1, "born": 7, "ports": [1, 2, 3], "log": "l"}


@pytest.mark.parametrize(
    "said",
    [b"[1]", b"7", b"[" * 20_000, b"\xff", b'{"knn": 7}', b'{"knn": {"state": 0}}', b'{"knn": {"state": "fine"}}'],
)
def test_health_that_is_none(tmp_path: Path, said: bytes) -> None:
    (tmp_path / "8000.json").write_bytes(said)
    assert health.read(tmp_path, 8000) == {}
    (tmp_path / "8000.json").write_text('{"knn": {"state": "dead"}}', encoding="utf-8")
    assert health.read(tmp_path, 8000)["knn"].state == "dead"


@pytest.mark.parametrize("changes", [{"ports": [1, 2]}, {"ports": ["1", 2, 3]}, {"supervisor": "../1"}, {"born": None}])
def test_records_that_are_none(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / f"{remains.PREFIX}a.json"
    path.write_text(json.dumps({**RECORD, **changes}), encoding="utf-8")
    (tmp_path / f"{remains.PREFIX}b.json").write_bytes(b"[" * 20_000)
    assert remains.records(tmp_path) == {}
    path.write_text(json.dumps(RECORD), encoding="utf-8")
    assert [record.ports for record in remains.records(tmp_path).values()] == [(1, 2, 3)]
