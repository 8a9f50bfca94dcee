"""The ladder that a quality command measures, on its command line."""

from __future__ import annotations

import argparse

from pixelis.operations_config import Ladder


def add_ladder(parser: argparse.ArgumentParser, steps: str = "1.0", enough: float = 1.0) -> None:
    """`--steps`, `--enough` and `--keep-all`, by default those given."""
    parser.add_argument("--steps", default=steps, help="shares of the full resolution's sides, rising, the last one 1")
    parser.add_argument(
        "--enough", type=float, default=enough, help="confidence from which on no further look is taken"
    )
    parser.add_argument("--keep-all", action="store_true", help="leave nothing out")


def ladder_from(wanted: argparse.Namespace) -> Ladder:
    """What was asked for."""
    steps = tuple(float(step) for step in wanted.steps.split(","))
    return Ladder(steps=steps, enough=wanted.enough, stop_early=not wanted.keep_all)
