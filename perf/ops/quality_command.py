"""The command line that quality commands share: how much is measured, on which seeds, and by which ladder."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pixelis.operations_config import Ladder

SETS = {"fixed": 0, "held_out": 10_000}
"""Sets of clips, and the first seed of each; nothing was chosen on those that are held out."""


def parser_of(name: str, about: str | None, count: int, of: str) -> ArgumentParser:
    """Of `python -m perf.ops.NAME`, with `--count` and `--json`.

    Args:
        name: of the module.
        about: its docstring.
        count: how much is measured by default.
        of: what is counted.
    """
    parser = ArgumentParser(prog=f"python -m perf.ops.{name}", description=about)
    parser.add_argument("--count", type=int, default=count, help=of)
    parser.add_argument("--json", action="store_true")
    return parser


@dataclass(frozen=True)
class Asked:
    """What a command that looks at generated clips was asked for.

    Attributes:
        sets: the seeds of each.
        ladder: of the adaptive look.
        as_json: how it is told.
    """

    sets: dict[str, range]
    ladder: Ladder
    as_json: bool

    def by_set(self, measure: Callable[[Iterable[int], Ladder], dict[str, Any]]) -> dict[str, Any]:
        """The ladder, and what `measure` makes of the seeds of each set."""
        made: dict[str, Any] = {"ladder": self.ladder.model_dump(mode="json")}
        return made | {name: measure(seeds, self.ladder) for name, seeds in self.sets.items()}


def ask(name: str, about: str | None, count: int, arguments: Sequence[str] | None) -> Asked:
    """Read the command line of a command that looks at generated clips.

    Args:
        name: of the module.
        about: its docstring.
        count: clips of each set by default.
        arguments: those of the process by default.
    """
    parser = parser_of(name, about, count, "clips of each set of seeds")
    parser.add_argument("--sets", default=",".join(SETS), help=f"of seeds: {', '.join(SETS)}")
    parser.add_argument("--steps", default="1.0", help="shares of the full resolution's sides, rising, the last one 1")
    parser.add_argument("--enough", type=float, default=1.0, help="confidence from which on no further look is taken")
    parser.add_argument("--keep-all", action="store_true", help="leave nothing out")
    wanted = parser.parse_args(arguments)
    names = wanted.sets.split(",")
    if not SETS.keys() >= set(names):
        parser.error(f"there is no such set in {wanted.sets!r}; there are {', '.join(SETS)}")
    steps = tuple(float(step) for step in wanted.steps.split(","))
    return Asked(
        {name: range(SETS[name], SETS[name] + wanted.count) for name in names},
        Ladder(steps=steps, enough=wanted.enough, stop_early=not wanted.keep_all),
        wanted.json,
    )
