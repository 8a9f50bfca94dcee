"""Processor time and memory of both sides, as rows."""

from __future__ import annotations

from statistics import median
from typing import Any

from perf.e2e.processes import Usage, spent
from perf.e2e.run import Found


def memory(found: Found) -> list[dict[str, Any]]:
    """A row for each side whose processes are known: medians over all blocks, each read at its end."""
    rows = []
    for side in dict.fromkeys(side for side, _ in found.usage):
        readings = [after for (name, _), pairs in found.usage.items() if name == side for _, after in pairs if after]
        if readings:
            totals = [sum(one.pss_bytes for one in reading) for reading in readings]
            private = [sum(one.private_bytes for one in reading) for reading in readings]
            row = {"processes": max(map(len, readings)), "pss_mib": _mib(median(totals))}
            rows.append({"row": "memory", "side": side, **row, "pss_most_mib": _mib(max(totals))})
            rows[-1]["private_mib"] = _mib(median(private))
    return rows


def cpu_ms(found: Found, side: str, level: int) -> float | None:
    """Processor milliseconds of a request, over all processes of a side; none where they are not known.

    Unlike a latency it hardly depends on what else the machine does.
    """
    per_name = _per_request(found, side, level)
    return round(sum(per_name.values()), 1) if per_name else None


def processes(found: Found, level: int) -> list[dict[str, Any]]:
    """A row for each model's stubs and for Triton itself: processor time of a request, and memory at the end."""
    per_name = _per_request(found, "served", level)
    if not per_name:
        return []
    _, last = found.usage["served", level][-1]
    return [
        {
            "row": "process",
            "concurrency": level,
            "process": name,
            "cpu_ms_per_request": round(ms, 2),
            "pss_mib": _mib(_pss(last, name)),
        }
        for name, ms in sorted(per_name.items(), key=lambda pair: -pair[1])
    ]


def _per_request(found: Found, side: str, level: int) -> dict[str, float]:
    """Processor milliseconds by process name, over all requests of all rounds."""
    requests = sum(len(block.answered) for block in found.blocks[side, level])
    sums: dict[str, float] = {}
    for before, after in found.usage.get((side, level), []):
        for name, seconds in spent(before, after).items():
            sums[name] = sums.get(name, 0.0) + 1e3 * seconds / requests
    return sums


def _pss(reading: list[Usage], name: str) -> int:
    return sum(one.pss_bytes for one in reading if one.name == name)


def _mib(size: float) -> float:
    return round(size / 2**20, 1)
