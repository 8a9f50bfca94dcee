"""What the next turn of a conversation costs, against reading all of it again."""

from __future__ import annotations

from perf.policy.bench import RUNTIME, Bench, Found
from perf.policy.figures import at_most, spread
from perf.policy.load import Answer, Job, Load, Picture
from perf.policy.prompts import Prompts

OPENING, ANSWER, OBSERVATION = 512, 24, 40
"""Tokens: the first prompt (a system turn that lists the operations, an image, a question), a call, what came back."""
TURNS = 4
SIDE = 16
"""Patches of the image's side: 64 visual tokens where four patches make one."""
MOST = 0.15


def turns(bench: Bench) -> Found:
    """Time to the first token of turn n, whose prompt is turn n - 1's, its answer and an observation.

    Beside it the same for a prompt of equal length that nobody has seen.
    """
    if RUNTIME not in bench.systems:
        return Found()
    warm: dict[int, list[float]] = {}
    cold: dict[int, list[float]] = {}
    for number in range(bench.rounds):
        words = bench.prompts(4, number)
        for _ in range(1 if bench.quick else 3):
            prompt, picture = _opening(words)
            for turn in range(1, TURNS + 1):
                answer = _ask(bench, prompt, picture, turn)
                unseen = _ask(bench, *_opening(words, len(prompt)), turn)
                warm.setdefault(turn, []).append(answer.first_s)
                cold.setdefault(turn, []).append(unseen.first_s)
                prompt = [*prompt, *answer.tokens, *words.text(OBSERVATION)]
    ratios = {turn: [a / b for a, b in zip(warm[turn], cold[turn], strict=True)] for turn in warm}
    rows = []
    for turn in ratios:
        length = OPENING + (turn - 1) * (ANSWER + OBSERVATION)
        row = bench.row("turn", system=RUNTIME, turn=turn, prompt_tokens=length)
        row |= spread("first_token_ms", [1e3 * s for s in warm[turn]])
        row |= spread("first_token_cold_ms", [1e3 * s for s in cold[turn]])
        rows.append({**row, **spread("share", ratios[turn], 3)})
    later = [ratio for turn, values in ratios.items() if turn > 1 for ratio in values]
    what = f"{bench.name}: time to first token of turns 2 to {TURNS} over that of an unseen prompt as long"
    return Found(rows, [at_most(what, MOST, later, "share")])


def _opening(words: Prompts, length: int = OPENING) -> tuple[list[int], Picture]:
    picture, image = words.picture(SIDE)
    text = length - len(image)
    return [*words.text(text // 2), *image, *words.text(text - text // 2)], picture


def _ask(bench: Bench, prompt: list[int], picture: Picture, turn: int) -> Answer:
    job = Job(prompt=prompt, tokens=ANSWER, picture=picture)
    return bench.run(RUNTIME, Load(jobs=[job], concurrency=1), f"turns, turn {turn}").answers[0]
