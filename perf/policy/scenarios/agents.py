"""Tokens a second of sixteen agents at once: one system turn for all of them, and turns that go on from their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from statistics import median

from perf.policy.bench import BATCH, BESIDE, ONE, RUNTIMES, Bench, Found
from perf.policy.figures import at_least, service, spread
from perf.policy.load import Job, Load, Run
from pixelis.schema import Claim

OPENVINO = "openvino-genai"
AGENTS, TURNS = 16, 3
SYSTEM, OPENING, ANSWER, OBSERVATION = 384, 96, 24, 40
"""Tokens: a system turn that lists the operations, an image and a question, a call, what came back."""
OVER_ONE, OVER_BATCH, OVER_BEST = 10.0, 1.5, 1.0

Runs = dict[str, list[Run]]


def agents(bench: Bench) -> Found:
    """Closed loop. Words stand for the image, which not every system takes; every system goes on from its own answers.

    Who can keep what was read keeps it; who serves one request at a time does so here too.
    """
    runs: Runs = {}
    with ExitStack() as stack:
        systems = [_as_used(bench, system, stack) for system in bench.systems]
        for number in range(bench.rounds):
            load = Load(jobs=list(_jobs(bench, number)), concurrency=AGENTS)
            for system in bench.turns(systems, number):
                run = bench.run(system, load, f"agents, round {number + 1}")
                runs.setdefault(system, []).append(run)
    rows = [_row(bench, system, mine, runs.get(ONE)) for system, mine in runs.items()]
    return Found(rows, list(_claims(bench, runs)))


def _as_used(bench: Bench, system: str, stack: ExitStack) -> str:
    if system != OPENVINO:
        return system
    return stack.enter_context(bench.variant(f"{OPENVINO}-prefixes", of=OPENVINO, prefix_caching=True))


def _jobs(bench: Bench, number: int) -> Iterator[Job]:
    words = bench.prompts(9, number)
    system = words.text(SYSTEM)
    count, tokens = (2, 8) if bench.quick else (AGENTS, ANSWER)
    for agent in range(count):
        for turn in range(TURNS):
            if turn == 0:
                yield Job(prompt=[*system, *words.text(OPENING)], tokens=tokens)
            else:
                yield Job(prompt=words.text(OBSERVATION), tokens=tokens, after=agent * TURNS + turn - 1)


def _row(bench: Bench, system: str, runs: Sequence[Run], reference: Sequence[Run] | None) -> dict[str, object]:
    row = bench.row("agents", system=system, agents=len(runs[0].answers) // TURNS, turns=TURNS)
    row |= spread("tokens_per_s", [run.tokens_per_s for run in runs], 1)
    row |= service(runs)
    if runs[0].counted("steps"):
        for title, name in (("tokens_read", "prefill_tokens"), ("reading_s", "prefill_s"), ("decoding_s", "step_s")):
            row |= spread(title, [run.counted(name) or 0.0 for run in runs])
    if reference is not None and reference is not runs:
        pairs = [pair for a, b in zip(runs, reference, strict=True) for pair in zip(a.answers, b.answers, strict=True)]
        row["equal_share"] = round(sum(mine.tokens == other.tokens for mine, other in pairs) / len(pairs), 3)
    return row


def _claims(bench: Bench, runs: Runs) -> Iterator[Claim]:
    ours = [system for system in RUNTIMES if system in runs]
    if not ours:
        return
    own = max(ours, key=lambda system: median(run.tokens_per_s for run in runs[system]))
    mine = runs[own]
    others = {system: found for system, found in runs.items() if system not in (*RUNTIMES, ONE, BATCH, *BESIDE)}
    compared = [(ONE, OVER_ONE, "transformers serving one at a time"), (BATCH, OVER_BATCH, "its static batch of 16")]
    if others:
        best = max(others, key=lambda system: median(run.tokens_per_s for run in others[system]))
        compared.append((best, OVER_BEST, f"the best other one, {best}"))
    for system, target, words in compared:
        if system in runs:
            ratios = [a.tokens_per_s / max(b.tokens_per_s, 1e-9) for a, b in zip(mine, runs[system], strict=True)]
            yield at_least(f"{bench.name}: tokens/s of {AGENTS} agents over {words}, by {own}", target, ratios)
