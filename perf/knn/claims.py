"""What is claimed of a data set, and whether it was met in this run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perf.knn.contenders.ours import EXACT, LIBRARY
from pixelis.schema import Claim

LESS = 95.0
"""Per cent less latency than exact search."""


def claims(name: str, about: str, rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """Of the rows of a duel. What was not measured is not claimed."""
    by = {row["library"]: row for row in rows}
    own, exact, made = by.get(LIBRARY), by.get(EXACT), []
    if own is None:
        return []
    if exact is not None:
        saved = 100 * (1 - own["p50_ms"] / exact["p50_ms"])
        made.append(_claim(f"{name} ({about}): less latency than exact search, one query", LESS, saved, "%"))
    for library, row in by.items():
        if library in (LIBRARY, EXACT):
            continue
        for column, said in (("p50_ms", "one query"), ("batch32_ms", "batches of 32")):
            ratio = row[column] / own[column]
            made.append(_claim(f"{name} ({about}): times as fast as {library}, {said}", 1.0, ratio, "x"))
    return made


def _claim(text: str, target: float, measured: float, unit: str) -> Claim:
    return Claim(claim=text, target=target, measured=round(measured, 3), unit=unit, met=measured >= target)
