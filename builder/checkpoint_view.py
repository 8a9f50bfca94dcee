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

    Attributes:
        hidden: numbers that a visual token has, those of deepstack levels among them.
        sides: of several views every width and height, smallest first; none where there is one view.
        pairs: whether two frames of a video may be one view.
    """

    width: int
    height: int
    tokens: int
    hidden: int
    sides: tuple[int, ...] = ()
    pairs: bool = False


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
        vision = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))["vision_config"]
        side = int(vision["patch_size"]) * int(vision["spatial_merge_size"])
        # features of a deepstack level (Qwen3-VL) stand behind each token
        hidden = int(vision["out_hidden_size"]) * (1 + len(vision.get("deepstack_visual_indexes") or ()))
    except (OSError, KeyError, ValueError) as error:
        raise BuildError(
            f"{checkpoint} is not a Qwen2.5-VL or Qwen3-VL checkpoint: {type(error).__name__}: {error}.",
            mend="Set PIXELIS_CHECKPOINT to a Hugging Face directory, or unset it for the nano.",
        ) from None
    profile = Profile.load(checkpoint)
    width, height = profile.view
    sides = tuple(sorted({length for size in profile.sizes for length in size})) if len(profile.sizes) > 1 else ()
    return View(width, height, (width // side) * (height // side), hidden, sides, profile.video == "pairs")
