"""What is claimed of a data set, and whether it was met in this run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perf.knn.contenders.ours import EXACT, LIBRARY
from pixelis.schema import Claim

LESS = {(100_000, 512): 95.0, (1_000_000, 128): 90.0}
"""(vectors, width), at least -> per cent less latency than exact search. Short and few vectors are compared quickly."""


def claims(name: str, count: int, width: int, recall: float, rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """Of the rows of a duel at `recall`, on `count` vectors of `width`. What was not measured is not claimed."""
    about = f"{name}, {count} x {width}, recall@10 >= {recall:g}"
    by = {row["library"]: row for row in rows}
    own, exact, made = by.get(LIBRARY), by.get(EXACT), []
    if own is None:
        return []
    less = next((less for (n, d), less in LESS.items() if count >= n and width >= d), None)
    if exact is not None and less is not None:
        saved = 100 * (1 - own["p50_ms"] / exact["p50_ms"])
        made.append(_claim(f"{about}: less latency than exact search, one query", less, saved, "%"))
    for library, row in by.items():
        if library in (LIBRARY, EXACT):
            continue
        for column, said in (("equal_ms", "one query"), ("equal_batch32_ms", "batches of 32")):
            ratio = row[column] / own[column]
            made.append(_claim(f"{about}, interpolated: times as fast as {library}, {said}", 1.0, ratio, "x"))
    return made


def _claim(text: str, target: float, measured: float, unit: str) -> Claim:
    return Claim(claim=text, target=target, measured=round(measured, 3), unit=unit, met=measured >= target)
