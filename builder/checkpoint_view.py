"""The one thing of a checkpoint that shapes the pipeline's tensors: what the policy sees, and as how many tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pixelis.errors import BuildError
from python_backends.policy.profile import Profile


@dataclass(frozen=True)
class View:
    """Size of the policy's view in pixels, and of its visual tokens.

    `hidden` counts the numbers of a visual token: of Qwen3-VL also what it brings for the first layers (deepstack).
    """

    width: int
    height: int
    tokens: int
    hidden: int


NANO = View(width=168, height=168, tokens=36, hidden=192)
"""The default checkpoint's; a constant, so that a config can be written before it is trained."""


def read_view(checkpoint: Path | None) -> View:
    """The view of the Hugging Face directory `checkpoint`; of the nano where none is given.

    One visual token is a square of `patch_size * spatial_merge_size` pixels (Qwen2.5-VL, arXiv 2502.13923, 2.1).

    Raises:
        BuildError: the directory has no config.json with a vision part.
    """
    if checkpoint is None:
        return NANO
    try:
        vision = json.loads((checkpoint / "config.json").read_text())["vision_config"]
        side = int(vision["patch_size"]) * int(vision["spatial_merge_size"])
        hidden = int(vision["out_hidden_size"]) * (1 + len(vision.get("deepstack_visual_indexes") or ()))
    except (OSError, KeyError, ValueError) as error:
        raise BuildError(
            f"{checkpoint} is not a Qwen2.5-VL checkpoint: {type(error).__name__}: {error}.",
            mend="Set PIXELIS_CHECKPOINT to a Hugging Face directory, or unset it for the nano.",
        ) from None
    width, height = Profile.load(checkpoint).view
    return View(width=width, height=height, tokens=(width // side) * (height // side), hidden=hidden)
