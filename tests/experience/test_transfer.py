"""Files that are no export: refused with the line or row, in few words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixelis.errors import InvalidRequest
from python_backends.experience.transfer import json_lines, parquet
from tests.experience.conftest import experience, key

LIVED = experience(experience_id="a").model_dump(mode="json")


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 20_000,
        json.dumps({"experience": LIVED, "key": [10**400] * 8}).encode(),
        json.dumps({"experience": LIVED, "key": {"a": 1}}).encode(),
        b'{"a": "' + b"x" * 30_000 + b"\xff",
        b"7",
    ],
)
def test_a_line_that_is_none(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n" + line + b"\n")
    with pytest.raises(InvalidRequest, match=r"^Line 2 of .* is no experience") as caught:
        list(json_lines.read(path))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "column", [{"trajectory": "[" * 20_000}, {"trajectory": "{}"}, {"key": "x"}, {"key": {"a": 1}}]
)
def test_a_row_that_is_none(tmp_path: Path, column: dict[str, Any]) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    path = tmp_path / "a.parquet"
    said = {**LIVED, "trajectory": "[]", "key": key(1).tolist(), **column}
    files.write_table(arrow.table({name: [value] for name, value in said.items()}), path)
    with pytest.raises(InvalidRequest, match="cannot be read at row 1"):
        list(parquet.read(path))
