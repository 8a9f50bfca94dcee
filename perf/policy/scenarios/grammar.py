"""What the grammar of tool calls costs."""

from __future__ import annotations

from typing import Any

from perf.policy.bench import RUNTIME, Bench, Found
from perf.policy.figures import at_most, spread
from perf.policy.load import Job, Load, Run
from perf.policy.prompts import Prompts

COUNTED = ("masked_tokens", "tokens", "grammar_s")
MOST = 0.05
"""What the project set out for, as a share of the step's time."""
LENGTH, SIDE = 48, 8
TOKENS = 128
"""At most: a call ends its turn, and one that might not fit is not begun."""


def grammar(bench: Bench) -> Found:
    """16 at once under the grammar: in free text, and from the first token to the last inside calls."""
    if RUNTIME not in bench.systems:
        return Found()
    runs: dict[str, list[Run]] = {"free text": [], "calls": []}
    with bench.variant("pixelis-calling", calling=True) as calling:
        for number in range(bench.rounds):
            words = bench.prompts(8, number)
            for what, system in (("free text", RUNTIME), ("calls", calling)):
                # a turn ends with its call, so end tokens count here
                sampling: dict[str, Any] = {"grammar": True, "ignore_end": what == "free text"}
                jobs = [_job(words, sampling) for _ in range(16 if bench.quick else 32)]
                runs[what].append(bench.run(system, Load(jobs=jobs, concurrency=16), f"grammar, {what}"))
    rows = []
    for what, mine in runs.items():
        row = bench.row("grammar", system=RUNTIME, text=what)
        row |= spread("grammar_share", [_share(run) for run in mine], 4)
        counted = {name: sum(run.counted(name) or 0.0 for run in mine) for name in COUNTED}
        row["masked_share"] = round(counted["masked_tokens"] / max(counted["tokens"], 1.0), 3)
        row["us_per_token"] = round(1e6 * counted["grammar_s"] / max(counted["tokens"], 1.0), 2)
        row["failed"] = sum(answer.error is not None for run in mine for answer in run.answers)
        rows.append(row)
    claim = f"{bench.name}: the grammar's share of the step's time at 16, inside calls"
    return Found(rows, [at_most(claim, MOST, [_share(run) for run in runs["calls"]], "share")])


def _job(words: Prompts, sampling: dict[str, Any]) -> Job:
    """A question on one image: there are no calls without."""
    picture, image = words.picture(SIDE)
    return Job(prompt=[*image, *words.text(LENGTH)], picture=picture, tokens=TOKENS, sampling=sampling)


def _share(run: Run) -> float:
    return (run.counted("grammar_s") or 0.0) / max(run.counted("step_s") or 0.0, 1e-9)
