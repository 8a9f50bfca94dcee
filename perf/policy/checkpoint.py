"""Checkpoints that are decoded: those of `perf.formats`, but of random weights one that reads its prompt."""

from __future__ import annotations

from pathlib import Path

from perf.formats.checkpoints import RANDOM, Checkpoint, find_checkpoint


def decoded_checkpoint(name: str, state: Path) -> Checkpoint:
    """`nano`, `90m` (made once, kept in the state folder), or a Hugging Face directory.

    The `90m` has a table of its own for the logits, see `random_checkpoint`: answers that repeat one token would agree
    whatever a system does wrong, and drafts would always be right.

    Raises:
        InvalidRequest: there is no such one.
    """
    if name != RANDOM:
        return find_checkpoint(name, state)
    from builder.sources.random_checkpoint import random_checkpoint

    directory = random_checkpoint(state / "bench" / "checkpoints" / f"{RANDOM}-untied", tied=False)
    return Checkpoint(name, directory, trained=False)
