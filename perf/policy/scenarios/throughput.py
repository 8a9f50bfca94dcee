"""Tokens a second with 1, 4 and 16 requests at once, or as many as asked for: equal prompts and numbers of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from perf.policy.agreement import agreement
from perf.policy.bench import BATCH, BESIDE, FP32_ONLY, ONE, RUNTIMES, Bench, Found
from perf.policy.figures import at_least, at_most, service, spread
from perf.policy.load import Job, Load, Run
from perf.policy.prompts import LENGTHS
from pixelis.schema import Claim

OVER_ONE, OVER_BATCH, OVER_BEST, OWN_WORK = 10.0, 1.5, 1.0, 0.15
"""What the project set out for: times the tokens a second, and work of our own as a share of the model's."""

Runs = dict[tuple[str, int], list[Run]]


def throughput(bench: Bench) -> Found:
    """Closed loop. All the prompts of a level have the same mix of lengths, so levels can be held against each other.

    One at a time is one at a time at any concurrency, so it is measured at 1; its static batch at the other levels.
    Every round has processes of its own.
    """
    runs: Runs = {}
    written: dict[str, dict[tuple[int, ...], list[int]]] = {}
    for number in range(bench.rounds):
        for system in bench.systems if number else []:
            bench.restart(system, f"throughput, round {number + 1}")
        for level in bench.asked.levels:
            jobs = _jobs(bench, level, number)
            for system in bench.turns(_at(bench, level), number):
                run = bench.run(
                    system, Load(jobs=jobs, concurrency=level), f"throughput at {level}, round {number + 1}"
                )
                runs.setdefault((system, level), []).append(run)
                for job, answer in zip(jobs, run.answers, strict=True):
                    if answer.error is None:
                        written.setdefault(system, {})[tuple(job.prompt)] = answer.tokens
    reference = {**written.get(BATCH, {}), **written.get(ONE, {})}
    rows = [_row(bench, system, level, mine) for (system, level), mine in sorted(runs.items(), key=_order(bench))]
    if reference:
        reads = _reads(bench)
        for system in bench.systems:
            if system != ONE:
                compared = agreement(reference, written.get(system, {})).row() | {"prompt_matters_share": reads}
                rows.append(bench.row("agreement", system=system, reference=ONE, **compared))
    return Found(rows, list(_claims(bench, runs)))


def _reads(bench: Bench) -> float:
    """Share of answers that are others when the first half of their prompts is: of a model that looks at nothing but
    its last token agreement would mean nothing."""
    system = BATCH if BATCH in bench.systems else ONE
    words = bench.prompts(1, 0, 0)
    prompts = [words.text(64) for _ in range(8)]
    others = [[*words.text(32), *prompt[32:]] for prompt in prompts]
    jobs = [Job(prompt=prompt, tokens=8) for prompt in (*prompts, *others)]
    answers = bench.run(system, Load(jobs=jobs, concurrency=16), "throughput: does the prompt matter").answers
    pairs = zip(answers[:8], answers[8:], strict=True)
    return sum(one.tokens != other.tokens for one, other in pairs) / 8


def _jobs(bench: Bench, level: int, number: int) -> list[Job]:
    count = max(2 * level, len(LENGTHS))
    if bench.quick:
        count = max(level, 2)
    words = bench.prompts(1, number, level)
    tokens = 8 if bench.quick else bench.asked.tokens
    return [Job(prompt=prompt, tokens=tokens) for prompt in words.mixed(count)]


def _at(bench: Bench, level: int) -> list[str]:
    left_out = BATCH if level == 1 else ONE
    return [system for system in bench.systems if system != left_out]


def _order(bench: Bench) -> Any:
    return lambda item: (item[0][1], bench.systems.index(item[0][0]))


def _row(bench: Bench, system: str, level: int, runs: Sequence[Run]) -> dict[str, Any]:
    precision = "fp32" if system in FP32_ONLY else bench.precision
    row = {**bench.row("throughput", system=system, concurrency=level), "precision": precision}
    row |= spread("tokens_per_s", [run.tokens_per_s for run in runs], 1)
    row |= spread("tokens_per_cpu_s", [run.tokens_per_cpu_s for run in runs], 1)
    row |= service(runs)
    steps = [run.counted("steps") for run in runs]
    if all(steps):
        row["drafts_accepted"] = sum(run.counted("accepted") or 0.0 for run in runs)
        row |= spread("own_work_share", list(_own_work(runs)), 4)
        row |= spread("decode_tokens_per_s", [_decoding(run) or 0.0 for run in runs], 1)
        row["step_ms"] = round(1e3 * median(_per_step(run, "step_s") for run in runs), 3)
        row["graph_ms"] = round(1e3 * median(_per_step(run, "graph_s") for run in runs), 3)
    return row


def _per_step(run: Run, name: str) -> float:
    return (run.counted(name) or 0.0) / max(run.counted("steps") or 0.0, 1.0)


def _own_work(runs: Sequence[Run]) -> Iterator[float]:
    """Scheduling, sampling, grammar and events of the decode steps over the time that they spent in the graph."""
    for run in runs:
        graph = run.counted("graph_s")
        if graph:
            yield ((run.counted("step_s") or 0.0) - graph) / graph


def _decoding(run: Run) -> float | None:
    """Tokens a second of the decode steps, prompts not counted; none of a system that does not count."""
    seconds = run.counted("step_s")
    later = sum(len(answer.tokens) - 1 for answer in run.answered)
    return later / seconds if seconds else None


def _one_by_one(run: Run) -> float:
    """The same of a system that serves one request at a time: the time between its first and last tokens."""
    gaps = [gap for answer in run.answered for gap in answer.gaps_s]
    return len(gaps) / sum(gaps)


def _claims(bench: Bench, runs: Runs) -> Iterator[Claim]:
    ours, fp32 = {level: better(runs, level) for level in (1, 16)}, bench.precision == "fp32"
    if ours[16] is None:
        return
    mine, by = runs[ours[16], 16], f", by {ours[16]}"
    if fp32 and (ONE, 1) in runs:
        what = f"{bench.name}: tokens/s at 16 over transformers serving one at a time{by}"
        yield at_least(what, OVER_ONE, _ratios(mine, runs[ONE, 1]))
        what += ", steps of decoding alone"
        pairs = zip(mine, runs[ONE, 1], strict=True)
        yield at_least(what, OVER_ONE, [(_decoding(a) or 0.0) / _one_by_one(b) for a, b in pairs])
    if fp32 and (BATCH, 16) in runs:
        what = f"{bench.name}: tokens/s at 16 over transformers' static batch of 16{by}"
        yield at_least(what, OVER_BATCH, _ratios(mine, runs[BATCH, 16]))
    for level in (1, 16):
        beside = (*RUNTIMES, *BESIDE)
        others = {system: found for (system, at), found in runs.items() if at == level and system not in beside}
        others = {system: found for system, found in others.items() if fp32 or system not in FP32_ONLY}
        own = ours[level]
        if others and own is not None:
            best = max(others, key=lambda system: median(run.tokens_per_s for run in others[system]))
            what = f"{bench.name}: tokens/s at {level} over the best other one, {best}, by {own}"
            yield at_least(what, OVER_BEST, _ratios(runs[own, level], others[best]))
    work = list(_own_work(mine))
    if work:
        yield at_most(f"{bench.name}: the runtime's own work at 16 over the graph's time{by}", OWN_WORK, work, "share")


def better(runs: Runs, level: int) -> str | None:
    """That of our executors which wrote more tokens a second at `level`; none = none of them ran."""
    found = [system for system in RUNTIMES if (system, level) in runs]
    return max(found, key=lambda system: median(run.tokens_per_s for run in runs[system, level]), default=None)


def _ratios(mine: Sequence[Run], theirs: Sequence[Run]) -> list[float]:
    """Round by round: what slows the machine for a while slows both."""
    return [a.tokens_per_s / max(b.tokens_per_s, 1e-9) for a, b in zip(mine, theirs, strict=True)]
