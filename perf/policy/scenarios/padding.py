"""Places of prefill batches that hold padding: as the runtime groups prompts, against groups as they come."""

from __future__ import annotations

from perf.policy.bench import PADDED, RUNTIME, SLOTS, Bench, Found
from perf.policy.figures import spread
from perf.policy.load import Job, Load, Run


def padding(bench: Bench) -> Found:
    """32 prompts of mixed lengths come at once, and one token of each is wanted.

    Naive: the same graph reads them 16 at a time in the order in which they come, padded to the longest of each batch.
    """
    if RUNTIME not in bench.systems:
        return Found()
    runs: dict[str, list[Run]] = {RUNTIME: [], PADDED: []}
    real = 0
    with bench.variant(PADDED, system=PADDED):
        for number in range(bench.rounds):
            prompts = bench.prompts(6, number).mixed(2 * SLOTS)
            real = sum(map(len, prompts))
            load = Load(jobs=[Job(prompt=prompt, tokens=1) for prompt in prompts], concurrency=2 * SLOTS)
            for system in bench.turns((RUNTIME, PADDED), number):
                runs[system].append(bench.run(system, load, f"padding, round {number + 1}"))
    lengths = [len(prompt) for prompt in prompts]
    places = sum(SLOTS * max(lengths[i : i + SLOTS]) for i in range(0, len(lengths), SLOTS))
    padded = [run.counted("padded_tokens") or 0.0 for run in runs[RUNTIME]]
    row = bench.row("padding", system=RUNTIME, prompts=len(lengths), prompt_tokens=real)
    row |= spread("padding_share", [one / (one + real) for one in padded], 4)
    row["naive_padding_share"] = round(1 - real / places, 4)
    row |= spread("prompt_tokens_per_s", [real / _seconds(run) for run in runs[RUNTIME]], 1)
    row |= spread("naive_prompt_tokens_per_s", [real / _seconds(run) for run in runs[PADDED]], 1)
    pairs = zip(runs[RUNTIME], runs[PADDED], strict=True)
    return Found([{**row, **spread("speedup", [_seconds(naive) / _seconds(mine) for mine, naive in pairs], 3)}])


def _seconds(run: Run) -> float:
    """From the arrival of all to the last one's token."""
    return max(answer.times[-1] for answer in run.answered)
