"""Files that measuring commands read back, and that are none."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from perf.fuzz import case
from perf.load import scenario
from perf.profile import changes, spans
from perf.sides import side
from pixelis.errors import InvalidRequest

ROW = {"row": "component", "component": "policy", "critical_ms": 2.0}
PROFILE = {"name": "profile", "command": "c", "machine": {}, "versions": {}, "rows": [ROW]}
SPAN = {"id": "a", "parent": "b", "model": "m", "name": "n", "kind": "row", "start": 1, "end": 2, "thread": 3}
DEEP = b"[" * 20_000


@pytest.mark.parametrize(
    "rows",
    [
        [{"row": "component"}],
        [{**ROW, "critical_ms": [1]}],
        [{**ROW, "component": ["policy"]}],
        [{**ROW, "critical_ms": None}],
    ],
)
def test_a_profile_without_its_components(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**PROFILE, "rows": [{"other": 1}, ROW]}), encoding="utf-8")
    assert changes.changes(changes.read(path), [ROW])[0]["grown_ms"] == 0
    for said in (json.dumps({**PROFILE, "rows": rows}).encode(), DEEP, b"\xff", b"{}"):
        path.write_bytes(said)
        with pytest.raises(InvalidRequest, match="no profile"):
            changes.read(path)


@pytest.mark.parametrize("changed", [{"id": ["a"]}, {"start": float("inf")}, {"of": [{"span": 1}]}, {"model": None}])
def test_spans_that_are_none_are_passed_over(tmp_path: Path, changed: dict[str, Any]) -> None:
    lines = [json.dumps(SPAN).encode(), json.dumps({**SPAN, **changed}).encode(), DEEP, b"7", b"\xff"]
    (tmp_path / "1.jsonl").write_bytes(b"\n".join(lines))
    assert len(spans.load(tmp_path)) == 1


@pytest.mark.parametrize("changed", [{"seed": "one"}, {"way": "post"}, {"about": 7}, {"more": 1}])
def test_a_case_that_cannot_be_sent(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = case.Case(1, 2, "visual_ops", "grpc", "a", [b"x"], b"{}").saved(tmp_path, "because")
    said = json.loads(path.read_text(encoding="utf-8"))
    assert case.load(path).images == [b"x"]
    for text in (json.dumps({**said, **changed}).encode(), DEEP, base64.b64encode(b"x"), b"[1]"):
        path.write_bytes(text)
        with pytest.raises(InvalidRequest, match="no case of a fuzz run"):
            case.load(path)


@pytest.mark.parametrize(
    "text", [DEEP, b"\xff", b"a: 2001-99-99", b"description: d\nusers: !!timestamp x", b"? [a]: b"]
)
def test_a_scenario_that_is_no_yaml(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text)
    with pytest.raises(InvalidRequest, match="is not YAML"):
        scenario.load(str(path))


def test_a_value_nested_too_deep_is_text() -> None:
    with pytest.raises(InvalidRequest, match=r"The setting limits.frames of A is wrong"):
        side("A", "here", [f"limits.frames={'[' * 20_000}"])
