"""The simulations beside what real processes did, while they are few."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from perf.scale.closed_model import Clients
from perf.scale.costs import Row, followed, rest, slowed
from perf.scale.log_cost import HELD_BACK
from pixelis.schema import Claim

TARGET = 20.0
"""Per cent that a prediction may be off."""


def validated(rows: Sequence[Row]) -> tuple[list[dict[str, Any]], list[Claim]]:
    """Rows and claims for the parts that `rows` has."""
    found = [*_clients(rows, "cache", "client", "our caches"), *_clients(rows, "log", "measured", "writers")]
    found += _followers(rows)
    claims = []
    for what in dict.fromkeys(one["what"] for one in found):
        off = max(abs(one["off_percent"]) for one in found if one["what"] == what)
        said = f"{what}: simulated against real, at most off by"
        claims.append(Claim(claim=said, target=TARGET, measured=off, unit="%", met=off <= TARGET))
    return found, claims


def _clients(rows: Sequence[Row], part: str, name: str, value: str) -> list[dict[str, Any]]:
    """Clients that ask again at once. What one alone waits for beside processors is the disk, which the log's Redis
    waits for once for all that it has together; or the way, which nobody shares. With that, several are predicted,
    beside the same other work as they had.
    """
    mine = [row for row in rows if row["row"] == part and row.get(name) == value]
    alone = next((row for row in mine if row["at_once"] == 1), None)
    if alone is None:
        return []
    own, served, waited = 1e-6 * alone["client_us"], 1e-6 * alone["redis_us"], rest(alone)
    disk, away = (waited, 0.0) if part == "log" else (0.0, waited)
    found = []
    for row in mine:
        if (count := row["at_once"]) > 1:
            pace = slowed(row)
            model = Clients(len(os.sched_getaffinity(0)), pace * own, pace * served, disk, away)
            what = f"{part}: {value}, answers a second"
            found.append(_line(what, count, model.throughput(count), row["per_second"]))
    return found


def _followers(rows: Sequence[Row]) -> list[dict[str, Any]]:
    held = [row for row in rows if row.get("measured") == "followers" and row["at_once"] == HELD_BACK]
    if not held:
        return []
    append, each = followed(rows)
    predicted = 1e6 * (append + HELD_BACK * each)
    return [_line("log: Redis' time for a change, µs", HELD_BACK, predicted, held[0]["redis_us"])]


def _line(what: str, count: int, predicted: float, real: float) -> dict[str, Any]:
    off = round(100 * (predicted / real - 1), 1)
    return {
        "row": "validation",
        "what": what,
        "count": count,
        "simulated": round(predicted, 1),
        "real": real,
        "off_percent": off,
    }
