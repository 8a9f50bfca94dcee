"""Whether those who are being answered wait while a long prompt is read."""

from __future__ import annotations

from typing import Any

from perf.policy.bench import RUNTIME, Bench, Found
from perf.policy.figures import at_most, quantile, spread
from perf.policy.load import Job, Load, Run

LONG, SHORT = 512, 64
STEADY = 16
MOST = 2.0
"""What the project set out for: p99 of the gap between tokens, with long prompts over without."""


def stalls(bench: Bench) -> Found:
    """16 steady streams; and 15, while prompts of 512 tokens come one after the other in the place of the 16th."""
    found = Found()
    systems = [name for name in (RUNTIME, "openvino-genai") if name in bench.systems]
    gaps: dict[tuple[str, bool], list[list[float]]] = {}
    for number in range(bench.rounds):
        for system in bench.turns(systems, number):
            for long in (False, True):
                run = bench.run(system, _load(bench, number, long), f"stalls, round {number + 1}")
                gaps.setdefault((system, long), []).append(_steady_gaps(run, STEADY - long))
    for system in systems:
        ratios = []
        for without, with_long in zip(gaps[system, False], gaps[system, True], strict=True):
            ratios.append(quantile(with_long, 0.99) / quantile(without, 0.99))
        found.rows += [_row(bench, system, long, gaps[system, long]) for long in (False, True)]
        if system == RUNTIME:
            what = f"{bench.name}: p99 between tokens at 16, with prompts of {LONG} arriving over without"
            found.claims.append(at_most(what, MOST, ratios))
    return found


def _load(bench: Bench, number: int, long: bool) -> Load:
    words = bench.prompts(3, number, int(long))
    tokens = 24 if bench.quick else 160
    steady = STEADY - long
    jobs = [Job(prompt=words.text(SHORT), tokens=tokens) for _ in range(steady)]
    if long:
        jobs += [Job(prompt=words.text(LONG), tokens=8, lane=1) for _ in range(64)]
    return Load(jobs=jobs, concurrency=steady)


def _steady_gaps(run: Run, steady: int) -> list[float]:
    """Gaps of the steady streams while all of them are being answered."""
    streams = run.answers[:steady]
    begin = max(answer.times[0] for answer in streams)
    end = min(answer.times[-1] for answer in streams)
    return [
        later - earlier
        for answer in streams
        for earlier, later in zip(answer.times, answer.times[1:], strict=False)
        if begin <= earlier and later <= end
    ]


def _row(bench: Bench, system: str, long: bool, gaps: list[list[float]]) -> dict[str, Any]:
    row = bench.row("stalls", system=system, long_prompts=long)
    for word, q in (("p50", 0.5), ("p99", 0.99), ("most", 1.0)):
        row |= spread(f"between_tokens_{word}_ms", [1e3 * quantile(one, q) for one in gaps])
    return row
