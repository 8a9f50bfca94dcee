"""Parquet: a column for each field of an experience, `trajectory` as JSON, `key` as a list of D float32s.

It takes the package pyarrow, which nothing else here needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pixelis.errors import InvalidRequest, SetupError
from pixelis.json_text import loads
from pixelis.schema import Experience
from python_backends.experience.transfer.row import Row

BATCH = 1000
_TEXT, _WHOLE = (
    ("experience_id", "question", "answer", "trajectory", "tenant"),
    (
        "retrieval_count",
        "success_count",
        "occurrences",
    ),
)


def write(path: Path, rows: Iterable[Row]) -> int:
    """Write `rows`; how many there were. Raises `OSError`, and `SetupError` where pyarrow is missing."""
    arrow, parquet = _packages()
    pending, count = iter(rows), 0
    first = next(pending, None)
    schema = _schema(arrow, len(first.key) if first is not None else 0)
    with parquet.ParquetWriter(path, schema) as writer:
        batch = [first] if first is not None else []
        while batch or (batch := list(islice(pending, BATCH))):
            table = arrow.Table.from_pylist([_columns(row) for row in batch], schema=schema)
            writer.write_table(table)
            count, batch = count + len(batch), []
    return count


def read(path: Path) -> Iterator[Row]:
    """The rows of a file. Raises `InvalidRequest`, which names the row, and `SetupError` where pyarrow is missing."""
    arrow, parquet = _packages()
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                for found in batch.to_pylist():
                    number += 1
                    key = np.array(found.pop("key"), np.float32)
                    found["trajectory"] = loads(found["trajectory"])
                    yield Row(Experience.model_validate(found), key)
    except (arrow.ArrowException, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InvalidRequest(
            f"{path} cannot be read at row {number}: {' '.join(str(error).split())}.",
            mend="`pixelis experience export FILE.parquet` shows what is expected.",
        ) from error


def _columns(row: Row) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(row.experience.model_dump_json())
    return {**fields, "trajectory": json.dumps(fields["trajectory"]), "key": row.key}


def _schema(arrow: Any, width: int) -> Any:
    def column(name: str) -> Any:
        if name == "confirmed":
            return arrow.bool_()
        return arrow.string() if name in _TEXT else arrow.int64() if name in _WHOLE else arrow.float64()

    fields = [arrow.field(name, column(name)) for name in Experience.model_fields]
    return arrow.schema([*fields, arrow.field("key", arrow.list_(arrow.float32(), width or -1))])


def _packages() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise SetupError(
            f"Parquet needs the package `pyarrow`, which cannot be imported: {error}.",
            mend="Install it: pip install 'pixelis-serving[parquet]'; or use JSON Lines: --format jsonl.",
        ) from error
    return pyarrow, parquet
