"""Whether urgent requests feel that three times too many others ask."""

from __future__ import annotations

import re

from perf.policy.bench import RUNTIME, Bench, Found
from perf.policy.figures import at_least, at_most, quantile, service
from perf.policy.load import Answer, Job, Load, Run
from perf.policy.prompts import Prompts
from pixelis.errors import Unavailable, code_of
from pixelis.schema import Claim

PROMPT, TOKENS = 96, 16
HIGH, LOW = 9, 0
OVERLOAD, URGENT = 3.0, 0.2
"""Arrivals a second of low and high requests, as shares of what is answered a second with 16 at once."""
MOST = 1.5


def priority(bench: Bench) -> Found:
    """Open loop, Poisson: urgent requests alone, and urgent requests that come at the same times under the overload."""
    if RUNTIME not in bench.systems:
        return Found()
    alone, urgent, others = [], [], []
    count = 8 if bench.quick else 60
    for number in range(min(bench.rounds, 2)):
        words = bench.prompts(7, number)
        capacity = _capacity(bench, words)
        times = words.arrivals(count, URGENT * capacity)
        low = words.arrivals(max(int(OVERLOAD * capacity * times[-1]), 1), OVERLOAD * capacity)
        load = Load(jobs=_jobs(words, times, HIGH))
        alone.append(bench.run(RUNTIME, load, f"priority, unloaded, round {number + 1}"))
        load = Load(jobs=[*_jobs(words, times, HIGH), *_jobs(words, low, LOW)])
        run = bench.run(RUNTIME, load, f"priority, overloaded, round {number + 1}")
        urgent.append(Run(answers=run.answers[:count]))
        others.append(Run(answers=run.answers[count:]))
    rows = [
        bench.row("priority", system=RUNTIME, **{"class": name}, low_load=load, refused=_refused(runs), **service(runs))
        for name, load, runs in (("high", 0.0, alone), ("high", OVERLOAD, urgent), ("low", OVERLOAD, others))
    ]
    ratio = _p99(urgent) / _p99(alone)
    what = f"{bench.name}: p99 latency of high priority under {OVERLOAD:g} x low load over unloaded"
    return Found(rows, [at_most(what, MOST, [ratio]), *_low_claims(bench, others)])


def _jobs(words: Prompts, times: list[float], priority: int) -> list[Job]:
    return [Job(prompt=words.text(PROMPT), tokens=TOKENS, at=at, sampling={"priority": priority}) for at in times]


def _turned_away(answer: Answer) -> bool:
    return answer.error is not None and not answer.tokens


def _refused(runs: list[Run]) -> int:
    return sum(_turned_away(answer) for run in runs for answer in run.answers)


def _low_claims(bench: Bench, runs: list[Run]) -> list[Claim]:
    answers = [answer for run in runs for answer in run.answers]
    refused = [answer for answer in answers if _turned_away(answer)]
    admitted = [answer for answer in answers if not _turned_away(answer)]
    finished = sum(answer.error is None for answer in admitted) / max(len(admitted), 1)
    claims = [at_least(f"{bench.name}: admitted low requests that finish", 1.0, [finished], "share")]
    if refused:
        told = sum(map(_told, refused)) / len(refused)
        what = f"{bench.name}: refused ones that get `unavailable` and are told when to try again"
        claims.append(at_least(what, 1.0, [told], "share"))
    return claims


def _told(answer: Answer) -> bool:
    error = answer.error or ""
    return code_of(error) == Unavailable.code and re.search(r"again in [0-9.]+ s", error) is not None


def _p99(runs: list[Run]) -> float:
    return quantile([answer.latency_s for run in runs for answer in run.answered], 0.99)


def _capacity(bench: Bench, words: Prompts) -> float:
    jobs = [Job(prompt=words.text(PROMPT), tokens=TOKENS) for _ in range(32)]
    run = bench.run(RUNTIME, Load(jobs=jobs, concurrency=16), "priority: capacity")
    return len(jobs) / max(answer.times[-1] for answer in run.answered)
