"""Whether both sides answer right, and alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perf.e2e.load import Answered
from perf.e2e.run import Found

SIDES = ("plain", "served")


def accuracy(found: Found) -> list[dict[str, Any]]:
    """By family, over its scenes: the share answered right on each side, and the share answered alike on both."""
    by_side = {side: _answers(found, side) for side in SIDES}
    families = list(dict.fromkeys(family for family, _ in by_side["plain"]))
    return [_family(family, by_side) for family in families]


def _family(family: str, by_side: dict[str, dict[tuple[str, int], list[Answered]]]) -> dict[str, Any]:
    plain, served = ([found for key, found in by_side[side].items() if key[0] == family] for side in SIDES)
    pairs = [[*p, *s] for p, s in zip(plain, served, strict=True)]
    return {
        "row": "accuracy",
        "family": family,
        "scenes": len(pairs),
        "plain": _share(plain, _right),
        "served": _share(served, _right),
        "same_answers": round(sum(len({_answer(one) for one in pair}) == 1 for pair in pairs) / len(pairs), 4),
        "same_trajectories": round(sum(len({_acts(one) for one in pair}) == 1 for pair in pairs) / len(pairs), 4),
        "confidence_apart": round(max((_apart(pair) for pair in pairs), default=0.0), 6),
    }


def _answers(found: Found, side: str) -> dict[tuple[str, int], list[Answered]]:
    """Everything that came of each question, in the order in which the questions were made."""
    all_of_it: dict[tuple[str, int], list[Answered]] = {}
    for (name, _), blocks in found.blocks.items():
        for one in (one for block in blocks for one in block.answered) if name == side else ():
            all_of_it.setdefault((one.asked.question.family, one.asked.question.scene.seed), []).append(one)
    return all_of_it


def _share(questions: Sequence[Sequence[Answered]], holds: Callable[[Answered], bool]) -> float:
    return round(sum(all(map(holds, question)) for question in questions) / len(questions), 4)


def _right(one: Answered) -> bool:
    return one.result is not None and one.asked.question.right(one.result.answer)


def _answer(one: Answered) -> str:
    return one.result.answer if one.result else f"{one.error}"


def _acts(one: Answered) -> str:
    """What the agent did and said; not what an operation measured, whose last digits may differ."""
    fields = {"type", "operation", "arguments", "text", "error"}
    return str([action.model_dump(include=fields) for action in one.result.trajectory]) if one.result else "failed"


def _apart(pair: Sequence[Answered]) -> float:
    """How far apart the agent's confidences in one question are."""
    found = [one.result.provenance.agent_confidence for one in pair if one.result]
    return max(found) - min(found) if found else 0.0
