"""Drafts from the sequence itself: what they bring where a text repeats, and what they cost where it does not."""

from __future__ import annotations

from perf.policy.bench import RUNTIME, Bench, Found
from perf.policy.figures import spread
from perf.policy.load import Job, Load, Run
from perf.policy.prompts import Prompts

PHRASE, TIMES, LENGTH = 12, 8, 96


def speculation(bench: Bench) -> Found:
    """One request at a time, with drafts and without; the answers have to be the same."""
    if RUNTIME not in bench.systems:
        return Found()
    runs: dict[tuple[bool, bool], list[Run]] = {}
    with bench.variant("pixelis-plain", speculation=False) as plain:
        for number in range(min(bench.rounds, 2)):
            words = bench.prompts(9, number)
            for repeats in (True, False):
                load = Load(jobs=_jobs(bench, words, repeats), concurrency=1)
                for system in bench.turns((RUNTIME, plain), number):
                    run = bench.run(system, load, "speculation")
                    runs.setdefault((repeats, system == RUNTIME), []).append(run)
    rows = []
    for repeats in (True, False):
        drafting, without = runs[repeats, True], runs[repeats, False]
        row = bench.row("speculation", system=RUNTIME, prompt="repeats" if repeats else "does not repeat")
        row |= spread("tokens_per_s", [run.tokens_per_s for run in drafting], 1)
        row |= spread("without_tokens_per_s", [run.tokens_per_s for run in without], 1)
        ratios = [a.tokens_per_s / b.tokens_per_s for a, b in zip(drafting, without, strict=True)]
        row |= spread("speedup", ratios, 3)
        drafted = sum(run.counted("drafted") or 0.0 for run in drafting)
        accepted = sum(run.counted("accepted") or 0.0 for run in drafting)
        row |= {"drafted": drafted, "accepted_share": round(accepted / drafted, 3) if drafted else None}
        pairs = [
            (a.tokens, b.tokens)
            for one, other in zip(drafting, without, strict=True)
            for a, b in zip(one.answers, other.answers, strict=True)
        ]
        rows.append({**row, "equal_share": round(sum(a == b for a, b in pairs) / len(pairs), 4)})
    return Found(rows)


def _jobs(bench: Bench, words: Prompts, repeats: bool) -> list[Job]:
    tokens = 16 if bench.quick else 2 * bench.asked.tokens
    prompts = [words.text(PHRASE) * TIMES if repeats else words.text(LENGTH) for _ in range(2 if bench.quick else 4)]
    return [Job(prompt=prompt, tokens=tokens) for prompt in prompts]
