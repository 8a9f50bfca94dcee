"""A small random checkpoint of the served architecture, and what is built from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from builder.nano.scenes import VIEW
from builder.sources.checkpoint import NANO
from builder.sources.random_checkpoint import write_checkpoint


def write_random_checkpoint(directory: Path) -> Path:
    """The nano's shape with random weights."""
    return write_checkpoint(directory, text={}, vision={}, view=VIEW, seed=7, weigh=_wide)


def _wide(model: Any, generator: Any) -> None:
    """As they were initialised, but spread wide: logits differ by whole units, biases are not zero."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.2, generator=generator)
            elif weight.dim() > 1:
                weight.mul_(4)


def trained_checkpoint() -> Path | None:
    """The nano, where it is there."""
    return NANO if (NANO / "config.json").is_file() else None
