"""What follows from the pairs: latency, answers, accuracy and memory, and one word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from builder.gating.paired import paired
from perf.compare.latency import Latency
from perf.compare.pairs import Pair
from perf.e2e.load import Answered
from perf.e2e.processes import Usage

Word = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class Judged:
    """B against A in one respect.

    Attributes:
        respect: `latency`, `answered` or `right`.
        word: of B.
        change: a share: of A's time, or of all questions.
        low: of its interval.
        high: of the same.
    """

    respect: str
    word: Word
    change: float
    low: float
    high: float

    def row(self) -> dict[str, Any]:
        """In per cent."""
        shown = {name: round(100 * getattr(self, name), 3) for name in ("change", "low", "high")}
        return {"row": "judged", "respect": self.respect, "b_is": self.word, **{f"{k}_%": v for k, v in shown.items()}}


def judged(latency: Latency, seen: Sequence[Pair]) -> list[Judged]:
    """Latency as its test shows it; whether questions are answered, and right, by intervals of 95 % over questions."""
    words: dict[str, Word] = {"faster": "better", "slower": "worse"}
    word: Word = words.get(latency.shown, "no difference shown")
    members = [member for pair in seen for member in pair.members]
    return [
        Judged("latency", word, latency.change, latency.low, latency.high),
        _shares("answered", [(a.result is not None, b.result is not None) for a, b in members]),
        _shares("right", [(_right(a), _right(b)) for a, b in members]),
    ]


def verdict(found: Sequence[Judged]) -> Word:
    """Worse in any respect is worse; better in one and worse in none is better."""
    words = {one.word for one in found}
    return "worse" if "worse" in words else "better" if "better" in words else "no difference shown"


def sides(
    seen: Sequence[Pair], usages: Sequence[Sequence[Usage]], cpu: Sequence[float] | None = None
) -> list[dict[str, Any]]:
    """A row for each side: times, answers, memory and processor time.

    Args:
        seen: all pairs.
        usages: of each side's processes at the end; empty where they are not known.
        cpu: seconds that each side's processes worked during the pairs; none = not known.
    """
    rows = []
    for index, name in enumerate("AB"):
        members = [member[index] for pair in seen for member in pair.members]
        times = [one.ms for one in members if one.result is not None]
        p50, p90, p95, p99 = (round(float(one), 2) for one in np.percentile(times, (50, 90, 95, 99)))
        row = {"row": "side", "side": name, "asked": len(members), "answered": len(times)}
        row |= {"right": sum(map(_right, members)), "p50_ms": p50, "p90_ms": p90, "p95_ms": p95, "p99_ms": p99}
        if usages[index]:
            row["pss_mib"] = round(sum(one.pss_bytes for one in usages[index]) / 2**20, 1)
            if cpu is not None:
                row["cpu_ms_each"] = round(1e3 * cpu[index] / len(members), 1)
        rows.append(row)
    return rows


def alike(seen: Sequence[Pair]) -> float:
    """The share of questions that both answer with the same words."""
    same = [a.result.answer == b.result.answer for pair in seen for a, b in pair.members if a.result and b.result]
    return sum(same) / len(same)


def _shares(respect: str, outcomes: Sequence[tuple[bool, bool]]) -> Judged:
    a, b = (np.array([pair[side] for pair in outcomes], np.float64) for side in (0, 1))
    found = paired(a, b)
    word: Word = "worse" if found.high < 0 else "better" if found.low > 0 else "no difference shown"
    return Judged(respect, word, found.difference, found.low, found.high)


def _right(one: Answered) -> bool:
    return one.result is not None and one.asked.question.right(one.result.answer)
