"""Tokens a second with 1, 4 and 16 requests at once, or as many as asked for: equal prompts and numbers of tokens.

More tokens a second are to be had for later ones: who reads more of a prompt between two steps wastes less. So the
runtime is measured twice where requests come together: as it is served, and as late as the best of the others is, and
like that one without keeping what it has read, which no other prompt begins with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from perf.policy.agreement import agreement
from perf.policy.bench import BATCH, BESIDE, FP32_ONLY, ONE, RUNTIMES, Bench, Found
from perf.policy.figures import at_least, at_most, quantile, service, spread
from perf.policy.load import Job, Load, Run
from perf.policy.prompts import LENGTHS
from perf.policy.roofline import Arithmetic, most_per_second
from pixelis.schema import Claim

OVER_ONE, OVER_BATCH, OVER_BEST, OWN_WORK = 10.0, 1.5, 1.0, 0.15
"""What the project set out for: times the tokens a second, and work of our own as a share of the model's."""
LATE = "-as-late"
"""Behind the name of a runtime that holds the latency between tokens of the best other system."""
MARGIN = 0.85
"""Of their latency is what it is told to hold: a pace is what most steps keep, and compared is the slowest percent."""

Runs = dict[tuple[str, int], list[Run]]


def throughput(bench: Bench) -> Found:
    """Closed loop. All the prompts of a level have the same mix of lengths, so levels can be held against each other.

    One at a time is one at a time at any concurrency, so it is measured at 1; its static batch at the other levels.
    Every round has processes of its own.
    """
    runs: Runs = {}
    written: dict[str, dict[tuple[int, ...], list[int]]] = {}

    def take(system: str, level: int, number: int, jobs: list[Job]) -> None:
        run = bench.run(system, Load(jobs=jobs, concurrency=level), f"throughput at {level}, round {number + 1}")
        runs.setdefault((system, level), []).append(run)
        for job, answer in zip(jobs, run.answers, strict=True):
            if answer.error is None:
                written.setdefault(system, {})[tuple(job.prompt)] = answer.tokens

    rows = []
    for number in range(bench.rounds):
        for system in bench.systems if number else []:
            bench.restart(system, f"throughput, round {number + 1}")
        for level in bench.asked.levels:
            jobs = _jobs(bench, level, number)
            for system in bench.turns(_at(bench, level), number):
                take(system, level, number, jobs)
            own, best = better(runs, level, RUNTIMES), best_other(bench, runs, level)
            if level > 1 and own is not None and best is not None:
                late_s = MARGIN * quantile(_gaps(runs[best, level]), 0.99)
                with bench.variant(own + LATE, of=own, inter_token_ms=1e3 * late_s, prefix_bytes=0) as late:
                    take(late, level, number, jobs)
            if number == 0:
                rows.append(_roofline(bench, level, jobs, runs))
    reference = {**written.get(BATCH, {}), **written.get(ONE, {})}
    rows += [_row(bench, system, level, mine) for (system, level), mine in sorted(runs.items(), key=_order(bench))]
    if reference:
        reads = _reads(bench)
        for system, mine in sorted(written.items()):
            if system != ONE:
                compared = agreement(reference, mine).row() | {"prompt_matters_share": reads}
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
    count = max(4 * level, len(LENGTHS))  # so that the beginning and the end, with fewer at once, count for little
    if bench.quick:
        count = max(level, 2)
    words = bench.prompts(1, number, level)
    tokens = 8 if bench.quick else bench.asked.tokens
    return [Job(prompt=prompt, tokens=tokens) for prompt in words.mixed(count)]


def _at(bench: Bench, level: int) -> list[str]:
    left_out = BATCH if level == 1 else ONE
    return [system for system in bench.systems if system != left_out]


def _order(bench: Bench) -> Any:
    return lambda item: (item[0][1], bench.systems.index(item[0][0].removesuffix(LATE)), item[0][0])


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


def _roofline(bench: Bench, level: int, jobs: Sequence[Job], runs: Runs) -> dict[str, Any]:
    """What the jobs of a level could come to on this processor, in fp32, and against one request at a time."""
    peak, work = most_per_second(bench.asked.threads), Arithmetic.load(bench.checkpoint.directory).of(jobs)
    most = sum(job.tokens for job in jobs) * peak / work
    row = bench.row("roofline", concurrency=level, precision="fp32", gflop_per_request=round(work / len(jobs) / 1e9, 2))
    row |= {"gflop_per_s": round(peak / 1e9, 1), "tokens_per_s_at_most": round(most, 1)}
    if (ONE, 1) in runs:
        row["over_one_at_a_time_at_most"] = round(most / runs[ONE, 1][0].tokens_per_s, 2)
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
    names = (*RUNTIMES, *(name + LATE for name in RUNTIMES))
    ours, fp32 = {level: better(runs, level, names) for level in (1, 16)}, bench.precision == "fp32"
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
        own, best = ours[level], best_other(bench, runs, level)
        if own is not None and best is not None:
            what = f"{bench.name}: tokens/s at {level} over the best other one, {best}, by {own}"
            yield at_least(what, OVER_BEST, _ratios(runs[own, level], runs[best, level]))
            if own.endswith(LATE):
                what = f"{bench.name}: latency between tokens at {level}, p99, over that of {best}, by {own}"
                pairs = zip(runs[own, level], runs[best, level], strict=True)
                yield at_most(what, 1.0, [quantile(_gaps([a]), 0.99) / quantile(_gaps([b]), 0.99) for a, b in pairs])
    work = list(_own_work(mine))
    if work:
        yield at_most(f"{bench.name}: the runtime's own work at 16 over the graph's time{by}", OWN_WORK, work, "share")


def better(runs: Runs, level: int, names: Sequence[str] = RUNTIMES) -> str | None:
    """That of `names` which wrote most tokens a second at `level`; none = none of them ran."""
    found = [system for system in names if (system, level) in runs]
    return max(found, key=lambda system: median(run.tokens_per_s for run in runs[system, level]), default=None)


def best_other(bench: Bench, runs: Runs, level: int) -> str | None:
    """The best at `level` of those that aren't ours and compute in the bench's precision."""
    ours = (*RUNTIMES, *BESIDE, *(() if bench.precision == "fp32" else FP32_ONLY))
    others = [name for name, at in runs if at == level and name.removesuffix(LATE) not in ours]
    return better(runs, level, others)


def _gaps(runs: Sequence[Run]) -> list[float]:
    return [gap for run in runs for answer in run.answered for gap in answer.gaps_s]


def _ratios(mine: Sequence[Run], theirs: Sequence[Run]) -> list[float]:
    """Round by round: what slows the machine for a while slows both."""
    return [a.tokens_per_s / max(b.tokens_per_s, 1e-9) for a, b in zip(mine, theirs, strict=True)]
