"""Open loop: requests come when they come (Poisson), whether the ones before them are answered or not."""

from __future__ import annotations

from perf.policy.bench import RUNTIME, Bench, Found
from perf.policy.figures import service, spread
from perf.policy.load import Job, Load, Run
from perf.policy.prompts import Prompts

LOAD = 0.6
"""Arrivals a second as a share of what the runtime answers a second with 16 at once."""
TOKENS = (16, 48, 96, 32, 64, 24, 80, 40)
"""Answers of unequal length, in turn."""


def arrivals(bench: Bench) -> Found:
    """The same arrivals for every system. Who cannot keep up is measured until its last request is over."""
    count = 6 if bench.quick else 24
    runs: dict[str, list[Run]] = {}
    rates = []
    for number in range(min(bench.rounds, 2)):
        words = bench.prompts(2, number)
        rates.append(LOAD * _capacity(bench, words))
        times = words.arrivals(count, rates[-1])
        jobs = [
            Job(prompt=prompt, tokens=TOKENS[i % len(TOKENS)], at=at)
            for i, (prompt, at) in enumerate(zip(words.mixed(count), times, strict=True))
        ]
        for system in bench.turns(bench.systems, number):
            run = bench.run(system, Load(jobs=jobs), f"arrivals, round {number + 1}")
            runs.setdefault(system, []).append(run)
    rows = []
    for system in bench.systems:
        row = bench.row("arrivals", system=system, **spread("arrivals_per_s", rates))
        row |= spread("tokens_per_s", [run.tokens_per_s for run in runs[system]], 1)
        rows.append({**row, **service(runs[system])})
    return Found(rows)


def _capacity(bench: Bench, words: Prompts) -> float:
    """Requests a second with 16 at once, by the runtime, or whoever is the first in its place."""
    system = RUNTIME if RUNTIME in bench.systems else bench.systems[0]
    jobs = [Job(prompt=prompt, tokens=TOKENS[i % len(TOKENS)]) for i, prompt in enumerate(words.mixed(16))]
    run = bench.run(system, Load(jobs=jobs, concurrency=16), "arrivals: capacity")
    return len(jobs) / max(answer.times[-1] for answer in run.answered)
