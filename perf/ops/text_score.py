"""How one way of reading did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from python_backends.visual_ops.text_lines import Batches


@dataclass
class Score:
    """What one way of reading said, added up.

    Attributes:
        texts: how many it was asked for.
        exact: of them right to the letter.
        letters: that were written.
        wrong: letters to be inserted, deleted or replaced.
        cpu_s: CPU time of this process.
        words: that were written and had to be found with their boxes.
        placed: of them found, with the right box.
        steps: how many pictures were answered at each share of the full resolution.
        batches: what the recogniser was called with.
    """

    texts: int = 0
    exact: int = 0
    letters: int = 0
    wrong: int = 0
    cpu_s: float = 0.0
    words: int = 0
    placed: int = 0
    steps: dict[float, int] = field(default_factory=dict)
    batches: Batches = field(default_factory=Batches)

    @property
    def rate(self) -> float:
        """Share of the texts that are right, in points (0-100)."""
        return 100 * self.exact / self.texts

    def row(self, **names: object) -> dict[str, Any]:
        """As a row of a measurement."""
        row: dict[str, Any] = {
            **names,
            "texts": self.texts,
            "exact %": round(self.rate, 2),
            "character errors %": round(100 * self.wrong / self.letters, 3),
            "CPU ms per text": round(1e3 * self.cpu_s / self.texts, 2),
        }
        if self.words:
            row["words placed %"] = round(100 * self.placed / self.words, 2)
        if self.steps:
            asked = sum(self.steps.values())
            row["answered at"] = {str(step): round(count / asked, 3) for step, count in sorted(self.steps.items())}
            row["padding %"] = round(100 * self.batches.padding_share, 1)
        return row
