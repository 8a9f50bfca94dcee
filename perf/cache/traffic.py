"""Requests as they come, the same in every run."""

from __future__ import annotations

import numpy as np

from pixelis.schema import Action, AgentOutcome, OperationName, Options, PreparedRequest

DISTINCT, ROOM = 10_000, 2000


def zipf(count: int, distinct: int = DISTINCT, exponent: float = 1.0, seed: int = 0) -> list[int]:
    """`count` askings; the i-th thing is asked for in proportion to `i ** -exponent`."""
    weights = np.arange(1, distinct + 1) ** -exponent
    found: list[int] = np.random.default_rng(seed).choice(distinct, count, p=weights / weights.sum()).tolist()
    return found


def repeating(count: int, share: float = 0.8, seed: int = 0) -> list[int]:
    """`count` askings; with a probability of `share` something that was asked for before, all equally likely."""
    rng, new, asked = np.random.default_rng(seed), 0, list[int]()
    for _ in range(count):
        if new and rng.random() < share:
            asked.append(int(rng.integers(new)))
        else:
            asked.append(new)
            new += 1
    return asked


def request(number: int, options: Options | None = None) -> PreparedRequest:
    """A request of its own for each number."""
    return PreparedRequest(
        request_id=f"r{number}",
        question=f"What colour is the square with the label {number}?",
        options=options or Options(),
        digest=f"{number:064x}",
        sizes=[(336, 336)],
        started_at=0.0,
        deadline=30.0,
    )


def outcome(number: int) -> AgentOutcome:
    """What an agent answers: two operations and an answer, as the nano's outcomes are."""
    region = [number % 100, 0, 168, 168]
    zoom = Action(
        type="VISUAL_OPERATION",
        operation=OperationName.ZOOM_IN,
        arguments={"region": region},
        result={"region": region, "size": [168, 168], "crop": f"crop:0:{number % 100},0,168,168"},
        text=f'<tool_call>{{"name": "ZOOM_IN", "arguments": {{"region": {region}}}}}</tool_call>',
        elapsed_ms=0.4,
    )
    answer = Action(type="ANSWER", text="red")
    return AgentOutcome(answer="red", confidence=0.9, actions=[zoom, zoom, answer], answer_logprob=-0.1, tokens=60)
