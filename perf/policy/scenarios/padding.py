"""Places of prefill batches that hold padding: as the runtime groups prompts, against groups as they come."""

from __future__ import annotations

from perf.policy.bench import RUNTIME, SLOTS, Bench, Found
from perf.policy.load import Job, Load


def padding(bench: Bench) -> Found:
    """32 prompts of mixed lengths at once; naive: 16 at a time in the order of arrival, as long as the longest."""
    if RUNTIME not in bench.systems:
        return Found()
    prompts = bench.prompts(6, 0).mixed(2 * SLOTS)
    load = Load(jobs=[Job(prompt=prompt, tokens=2) for prompt in prompts], concurrency=2 * SLOTS)
    run = bench.run(RUNTIME, load, "padding")
    real = sum(map(len, prompts))
    groups = [prompts[i : i + SLOTS] for i in range(0, len(prompts), SLOTS)]
    naive = sum(len(group) * max(map(len, group)) for group in groups)
    padded, read = run.counted("padded_tokens") or 0.0, run.counted("prefill_tokens") or 0.0
    row = bench.row("padding", system=RUNTIME, prompts=len(prompts), prompt_tokens=real)
    row["padding_share"] = round(padded / max(padded + read, 1.0), 4)
    row["naive_padding_share"] = round(1 - real / naive, 4)
    row["prefill_calls"] = run.counted("prefills")
    row["first_token_p50_ms"] = round(1e3 * sorted(a.first_s for a in run.answered)[len(run.answered) // 2], 2)
    return Found([row])
