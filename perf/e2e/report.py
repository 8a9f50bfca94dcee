"""From blocks to rows and claims."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median
from typing import Any

import numpy as np

from perf.e2e.agreement import SIDES, accuracy
from perf.e2e.load import Block
from perf.e2e.questions import Asked
from perf.e2e.resources import cpu_ms, memory, processes
from perf.e2e.run import Found
from pixelis.schema import Claim, PipelineResult

FASTER, MORE, CACHED, LESS, LESS_MODEL, BATCHED, HITS = 0.75, 8.0, 0.9, 0.3, 0.4, 3.0, 0.8
"""What the project set out for, beyond the half, three times and 30 % that are claimed elsewhere: a quarter of the
latency, eight times the answers a second, a tenth of the latency where questions come again, 30 % less memory of all
processes and 40 % of the models; and what is claimed: three times the answers by batching alone, 80 % cache hits."""
MOST_LOST = 1.0
"""Points of accuracy."""


def rows(found: Found, levels: Sequence[int]) -> list[dict[str, Any]]:
    """Every row, told apart by `row`: load, ratio, memory, accuracy, stage, process, model, plain variant."""
    return [
        *(_load(found, side, level) for level in levels for side in SIDES),
        *(ratios(found, level) for level in levels),
        *(_repeated(found, side, level) for level in levels for side in SIDES if found.repeats),
        *memory(found),
        *accuracy(found),
        *(row for level in levels for row in _stages(found, level)),
        *(row for level in levels for row in processes(found, level)),
        *({"row": "model", "concurrency": n, **row} for n, one in found.counters.items() for row in one.rows()),
        *(trial.row(_baseline_of(found, trial.variant)) for trial in found.trials),
    ]


def _baseline_of(found: Found, variant: object) -> list[str]:
    return [
        *(["latency at 1 at once"] if variant == found.single else []),
        *(["everything else"] if variant == found.crowded else []),
    ]


def _load(found: Found, side: str, level: int) -> dict[str, Any]:
    blocks = found.blocks[side, level]
    pooled = [ms for block in blocks for ms in block.latencies]
    answered = [one for block in blocks for one in block.answered]
    row: dict[str, Any] = {"row": "load", "side": side, "concurrency": level, "requests": len(answered)}
    if side == "plain":
        row["variant"] = (found.single if level == 1 else found.crowded).label
    return {
        **row,
        "failed": len(answered) - len(pooled),
        "errors": sorted({one.error for one in answered if one.error is not None})[:3],
        "p50_ms": round(float(np.percentile(pooled, 50)), 1),
        "p95_ms": round(float(np.percentile(pooled, 95)), 1),
        **_spread("p50_ms", [median(block.latencies) for block in blocks], median_too=False),
        **_spread("throughput_per_s", [block.throughput for block in blocks]),
        "cpu_ms_per_request": cpu_ms(found, side, level),
    }


def _repeated(found: Found, side: str, level: int) -> dict[str, Any]:
    """Where four of five questions were asked before.

    `from_cache` is the share that a cache answered, `asked_before` the most that one could: a cache that keeps all.
    """
    blocks = found.repeats[side, level]
    answered = [one for block in blocks for one in block.answered]
    before = sum(len(block.answered) - len({_scene(one.asked) for one in block.answered}) for block in blocks)
    took = [one.ms for one in answered if one.result is not None]
    kept = sum(one.result.from_cache for one in answered if one.result is not None)
    return {
        "row": "repeated",
        "side": side,
        "concurrency": level,
        "requests": len(answered),
        "mean_ms": round(mean(took), 1),
        "p50_ms": round(float(np.percentile(took, 50)), 1),
        "p95_ms": round(float(np.percentile(took, 95)), 1),
        "from_cache": round(kept / len(took), 4),
        "asked_before": round(before / len(took), 4),
    }


def _scene(asked: Asked) -> tuple[str, int]:
    return asked.question.family, asked.question.scene.seed


def ratios(found: Found, level: int) -> dict[str, Any]:
    """Served divided by plain, round by round: what is slow for a while on a machine is slow for both."""
    pairs = list(zip(found.blocks["served", level], found.blocks["plain", level], strict=True))
    return {
        "row": "ratio",
        "concurrency": level,
        **_spread("latency_ratio", [_p50(served) / _p50(plain) for served, plain in pairs], digits=3),
        **_spread("throughput_ratio", [served.throughput / plain.throughput for served, plain in pairs], digits=3),
    }


def _p50(block: Block) -> float:
    return median(block.latencies)


def _spread(name: str, values: Sequence[float], *, digits: int = 2, median_too: bool = True) -> dict[str, Any]:
    """The median over rounds, and the least and the most."""
    middle = {name: round(median(values), digits)} if median_too else {}
    return {**middle, f"{name}_rounds": [round(min(values), digits), round(max(values), digits)]}


def _stages(found: Found, level: int) -> list[dict[str, Any]]:
    """Median milliseconds of each stage and its parts, as the results say, the longest first.

    `outside` is what the client waited and no stage of the pipeline knows of: transport, queues, the ensemble.
    """
    by_side = {side: _timings(found, side, level) for side in SIDES}
    names = list(dict.fromkeys(name for timings in by_side.values() for name in timings))
    rows = [
        {"row": "stage", "concurrency": level, "stage": name, **{f"{s}_ms": by_side[s].get(name) for s in SIDES}}
        for name in names
    ]
    return sorted(rows, key=lambda row: -(row["served_ms"] or 0.0))


def _timings(found: Found, side: str, level: int) -> dict[str, float]:
    collected: dict[str, list[float]] = {}
    for block in found.blocks[side, level]:
        for one in block.answered:
            if one.result is None:
                continue
            for name, value in {**one.result.timings_ms, "outside": one.ms - _accounted(one.result)}.items():
                collected.setdefault(name, []).append(value)
    return {name: round(median(values), 2) for name, values in collected.items()}


def _accounted(result: PipelineResult) -> float:
    """What the stages took; `recall` and `reason` run side by side."""
    ms = result.timings_ms
    return ms["prepare"] + max(ms["recall"], ms["reason"]) + ms["finish"]


def claims(found: Found, levels: Sequence[int]) -> list[Claim]:
    """What the project set out for, against what was measured here."""
    lowest, highest = ratios(found, min(levels)), ratios(found, max(levels))
    made = [
        _claim(
            f"served p50 latency under plain, {min(levels)} at once", FASTER, 1 - lowest["latency_ratio"], "share less"
        ),
        _claim(
            f"served answers a second, {max(levels)} at once", MORE, highest["throughput_ratio"], "times the plain ones"
        ),
    ]
    if found.repeats:
        means = {side: _repeated(found, side, min(levels))["mean_ms"] for side in SIDES}
        said = f"served mean latency under plain where four of five were asked before, {min(levels)} at once"
        made.append(_claim(said, CACHED, 1 - means["served"] / means["plain"], "share less"))
        hit = _repeated(found, "served", min(levels))
        said = f"answers from a cache, of which {hit['asked_before']:.2f} at most can be: so many were asked before"
        made.append(_claim(said, HITS, hit["from_cache"], "share"))
    used = {row["side"]: row["pss_mib"] for row in memory(found)}
    if set(SIDES) <= set(used):
        less = 1 - used["served"] / used["plain"]
        made.append(_claim("served memory (PSS) under plain", LESS, less, "share less"))
    return [*made, _lost(found)]


def _lost(found: Found) -> Claim:
    judged = accuracy(found)
    right = {side: sum(row[side] * row["scenes"] for row in judged) for side in SIDES}
    points = round(100 * (right["plain"] - right["served"]) / sum(row["scenes"] for row in judged), 3)
    said = "accuracy that served loses against plain"
    return Claim(claim=said, target=MOST_LOST, measured=points, unit="points", met=points <= MOST_LOST)


def batched(alone: Sequence[dict[str, Any]], level: int) -> list[Claim]:
    """Batching alone, from the rows of `--alone`: answers a second beside those of a server that has nothing."""
    rates = {row["on"]: row["throughput_ratio"] for row in alone if row["concurrency"] == level}
    if not rates:
        return []
    said = f"answers a second by batching alone, {level} at once, beside a server without"
    return [_claim(said, BATCHED, rates["batching"] / rates["none"], "times")]


def model_memory(forms: Sequence[dict[str, Any]]) -> list[Claim]:
    """What all models take in processes of their own, beside their fp32 originals; nothing where one is not known."""
    known = [row for row in forms if "alone_mib" in row]
    if not known:
        return []
    ours, originals = (sum(row[name] for row in known) for name in ("alone_mib", "original_alone_mib"))
    said = f"memory of {', '.join(row['model'] for row in known)} under their fp32 originals, each alone"
    return [_claim(said, LESS_MODEL, 1 - ours / originals, "share less")]


def _claim(claim: str, target: float, measured: float, unit: str) -> Claim:
    measured = round(measured, 4)
    return Claim(claim=claim, target=target, measured=measured, unit=unit, met=measured >= target)
