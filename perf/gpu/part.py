"""What a part of `pixelis bench gpu` is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from builder.building.making import Watch
from builder.costing.timing import Turns

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """The command's options.

    Attributes:
        shape: see `shapes`.
        device: `cuda`, or `cpu` to see that all of it runs.
        batches: pictures of one call of a tower.
        rows: requests that a decoder writes at once.
        prompts: tokens of the prompt that is read first.
    """

    shape: str
    device: str
    batches: tuple[int, ...]
    rows: tuple[int, ...]
    prompts: tuple[int, ...]
    watch: Watch
    turns: Turns = field(default_factory=Turns)

    @property
    def graphs(self) -> str:
        """Behind the name of a system that captures its calls on a GPU."""
        return ", CUDA graphs" if self.device == "cuda" else ""

    @staticmethod
    def quick_turns() -> Turns:
        """Of what is looked at beside."""
        return Turns(rounds=2, turn_s=0.05)
