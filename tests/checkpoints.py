"""A small random checkpoint of the served architecture, and what is built from it."""

from __future__ import annotations

from pathlib import Path

from builder.sources.checkpoint import NANO


def write_random_checkpoint(directory: Path) -> Path:
    """The nano's shape with random weights spread wide: logits differ by whole units, biases are not zero."""
    import torch

    from builder.nano import model as nano

    model = nano.create(seed=7)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.2, generator=generator)
            elif weight.dim() > 1:
                weight.mul_(4)
    nano.save(model, directory)
    return directory


def trained_checkpoint() -> Path | None:
    """The nano, where it is there."""
    return NANO if (NANO / "config.json").is_file() else None
