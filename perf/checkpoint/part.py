"""What a part of `pixelis bench checkpoint` is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.building.making import Watch
from pixelis.schema import Claim


@dataclass(frozen=True)
class Asked:
    """The command's options.

    Attributes:
        name: of the checkpoint, as it was asked for.
        checkpoint: Hugging Face directory.
        prompts: how many, where a part decodes.
        tokens: that each is continued by, at most.
        threads: of whatever computes.
        watch: is told what goes on.
    """

    name: str
    checkpoint: Path
    prompts: int
    tokens: int
    threads: int
    watch: Watch


@dataclass(frozen=True)
class Found:
    """Rows (each with the name of its part as `row`) and claims."""

    rows: list[dict[str, Any]]
    claims: list[Claim] = field(default_factory=list)


Part = Callable[[Asked], Found]


def claim(text: str, target: float, measured: float, unit: str, met: bool) -> Claim:
    """One of `Found.claims`."""
    return Claim(claim=text, target=target, measured=measured, unit=unit, met=met)
