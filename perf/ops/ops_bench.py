"""All of `pixelis bench ops`: time on equal work, with and without repeats, and what it costs in quality."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean, median
from typing import Any

import cv2

from perf.machine import machine, versions
from perf.ops.sides import Models, Plain, Planned, Side
from perf.ops.task import Request
from perf.ops.text_theirs import Theirs
from perf.ops.workload import repeated, workload
from pixelis.schema import Claim, Measurement, OperationName, OperationResult
from pixelis.settings import Settings
from python_backends.images import decode

Watch = Callable[[str], None]
SLICE = 12
"""Requests that a side answers at a time, before the other one has its turn."""


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        scale: of the workload; 1 = 500 operations.
        seed: 0 = the labels that settings were chosen on; any other is held out.
        rounds: how often all of it is done.
        threads: of each side.
        command: what was typed.
    """

    scale: float
    seed: int
    rounds: int
    threads: int
    command: str


@dataclass
class Answered:
    """One side's answers, and the seconds of each slice."""

    results: list[list[OperationResult]]
    seconds: list[float]


def measure(asked: Asked, config: Settings, watch: Watch) -> Measurement:
    """The measurement.

    Raises:
        NotFound: a model is not built.
        SetupError: a package of the labels is missing.
    """
    cv2.setNumThreads(1)
    all_threads, one_thread = (Models(config.repository, threads) for threads in (asked.threads, 1))
    watch("labels")
    fresh = workload(asked.scale, asked.seed)
    plain = Plain(all_threads)
    rows: list[dict[str, Any]] = []
    claims: list[Claim] = []
    for name, requests, target in (("no repeats", fresh, 60.0), ("half repeated", repeated(fresh, 1), 85.0)):
        said = partial(_say, watch, name)
        ratios: list[float] = []
        for turn in range(asked.rounds):
            served = Planned(one_thread, config, asked.threads)
            theirs, ours = _in_turn((plain, served), requests, turn, said)
            ratios += [b / a for a, b in zip(theirs.seconds, ours.seconds, strict=True)]
        total = [sum(side.seconds) for side in (theirs, ours)]
        less = 100 * (1 - total[1] / total[0])
        rows.append(
            {
                "row": "time",
                "work": name,
                "operations": sum(len(request.tasks) for request in requests),
                "plain_s": round(total[0], 2),
                "planner_s": round(total[1], 2),
                "less_percent": round(less, 2),
                "ratio_of_slices": round(median(ratios), 3),
                "ratio_of_slices_rounds": [round(min(ratios), 3), round(max(ratios), 3)],
            }
        )
        claims.append(_claim(f"less time, {name}", less, target, "%"))
        if name == "no repeats":
            rows += _by_operation(requests, theirs, ours)
            quality = _quality(requests, theirs, ours)
            rows += quality
            lost = max(row["lost_points"] for row in quality)
            claims.append(Claim(claim="quality lost, worst", measured=lost, target=0.5, unit="points", met=lost <= 0.5))
    rows += _theirs(fresh, asked.threads, plain, Planned(one_thread, config, asked.threads, caching=False), watch)
    return Measurement(
        name="bench ops", command=asked.command, machine=machine(), versions=versions(), rows=rows, claims=claims
    )


def _say(watch: Watch, name: str, said: str) -> None:
    watch(f"{name}: {said}")


def _claim(name: str, measured: float, target: float, unit: str) -> Claim:
    return Claim(claim=name, measured=round(measured, 2), target=target, unit=unit, met=measured >= target)


def _in_turn(sides: Sequence[Side], requests: Sequence[Request], turn: int, watch: Watch) -> list[Answered]:
    """All requests by both sides, slice by slice; who begins changes."""
    answered = {side.name: Answered([], []) for side in sides}
    for place, start in enumerate(range(0, len(requests), SLICE)):
        part = requests[start : start + SLICE]
        watch(f"{start} of {len(requests)} requests")
        for side in sides if (place + turn) % 2 else sides[::-1]:
            began = time.perf_counter()
            results = side(part)
            answered[side.name].seconds.append(time.perf_counter() - began)
            answered[side.name].results += results
    return [answered[side.name] for side in sides]


def _by_operation(requests: Sequence[Request], plain: Answered, planner: Answered) -> list[dict[str, Any]]:
    """Time inside the operations, and how hard they looked."""
    by: dict[OperationName, list[tuple[OperationResult, OperationResult]]] = defaultdict(list)
    for request, one, other in zip(requests, plain.results, planner.results, strict=True):
        for task, a, b in zip(request.tasks, one, other, strict=True):
            by[task.operation.operation].append((a, b))
    rows = []
    for name, pairs in by.items():
        looked = [b for _, b in pairs if b.looks]
        rows.append(
            {
                "row": "operation",
                "operation": name.value,
                "operations": len(pairs),
                "plain_ms": round(mean(a.elapsed_ms for a, _ in pairs), 2),
                "planner_ms": round(mean(b.elapsed_ms for _, b in pairs), 2),
                "answered_low": round(mean(b.resolution < 1 for b in looked), 3) if looked else None,
                "left_out": round(mean(bool(b.skipped) for _, b in pairs), 3),
                "refused": sum(b.error is not None for _, b in pairs),
            }
        )
    return rows


def _quality(requests: Sequence[Request], plain: Answered, planner: Answered) -> list[dict[str, Any]]:
    """Each measure on both sides, in points of 100."""
    marks: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for request, one, other in zip(requests, plain.results, planner.results, strict=True):
        for task, a, b in zip(request.tasks, one, other, strict=True):
            marks[task.measure].append((task.judge(a), task.judge(b)))
    return [
        {
            "row": "quality",
            "measure": name,
            "operations": len(pairs),
            "plain": round(100 * mean(a for a, _ in pairs), 2),
            "planner": round(100 * mean(b for _, b in pairs), 2),
            "lost_points": round(100 * mean(a - b for a, b in pairs), 2),
        }
        for name, pairs in marks.items()
    ]


def _theirs(
    requests: Sequence[Request], threads: int, plain: Plain, planner: Planned, watch: Watch
) -> list[dict[str, Any]]:
    """READ_TEXT of single pictures against the pipeline of the `rapidocr` package, each one picture at a time."""
    texts = [request for request in requests if _is_reading(request)]
    if not texts:
        return []
    read = Theirs(threads)
    seconds: dict[str, float] = defaultdict(float)
    marks: dict[str, list[float]] = defaultdict(list)
    for place, request in enumerate(texts):
        watch(f"rapidocr: {place} of {len(texts)} pictures")
        task = request.tasks[0]
        alone = Request(request.images, (task,))
        for name in ("rapidocr", "plain", "planner") if place % 2 else ("planner", "plain", "rapidocr"):
            began = time.perf_counter()
            if name == "rapidocr":
                text = read(decode(request.images[0]))
                result = OperationResult(operation=OperationName.READ_TEXT, result={"text": text})
            else:
                ((result,),) = (plain if name == "plain" else planner)([alone])
            seconds[name] += time.perf_counter() - began
            marks[name].append(task.judge(result))
    return [
        {
            "row": "reading",
            "system": name,
            "pictures": len(texts),
            "seconds": round(seconds[name], 2),
            "lines_read_percent": round(100 * mean(marks[name]), 2),
        }
        for name in ("rapidocr", "plain", "planner")
    ]


def _is_reading(request: Request) -> bool:
    return len(request.images) == 1 and request.tasks[0].operation.operation is OperationName.READ_TEXT
