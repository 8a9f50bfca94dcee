"""Requests of a model that `perf_analyzer` knows none for: rows of its source's own samples."""

from __future__ import annotations

from typing import Any

from builder.spec import pipeline

MOST = 8


def samples(model: str) -> dict[str, Any]:
    """The JSON object for `--input-data`, all rows of the first sample's shape.

    Raises:
        NotFound: no such model.
        BuildError: it has no source.
    """
    rows: list[dict[str, Any]] = []
    for sample in pipeline()[model].open_source().samples():
        for row in range(min(array.shape[0] for array in sample.values())):
            made = {name: array[row] for name, array in sample.items()}
            shapes = {name: list(array.shape) for name, array in made.items()}
            if rows and shapes != {name: one["shape"] for name, one in rows[0].items()}:
                continue
            rows.append({name: {"content": one.ravel().tolist(), "shape": shapes[name]} for name, one in made.items()})
            if len(rows) == MOST:
                return {"data": rows}
    return {"data": rows}
