"""`transformers.generate` on the whole checkpoint in fp32, its own towers included: a prompt at a time, greedily."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from builder.sources.checkpoint import load_model
from builder.sources.vision_encoder import VisionEncoder
from perf.checkpoint.prompts import Prompt, clip_seconds
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.geometry import Geometry
from python_backends.policy.patches import video_patches

_PICTURE, _CLIP = 1, 2
"""transformers' `mm_token_type_ids`."""


@dataclass(frozen=True)
class Written:
    """What was generated.

    Attributes:
        tokens: ids, the one that ends the turn included.
        margins: of each token, its logit's distance to the runner-up's.
    """

    tokens: list[int]
    margins: list[float]


class Reference:
    """One checkpoint in transformers.

    Args:
        checkpoint: Hugging Face directory.
        threads: of PyTorch.
    """

    def __init__(self, checkpoint: Path, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self._checkpoint = checkpoint
        self._model = load_model(checkpoint)
        self._image = CheckpointConfig.load(checkpoint).image_token
        self._geometry = Geometry.load(checkpoint)

    def generate(self, prompt: Prompt, count: int) -> Written:
        """At most `count` tokens."""
        import torch

        ids, extra = prompt.ids.copy(), self._seen(prompt)
        visual = ids == self._image
        if prompt.clip:
            ids[visual] = self._model.config.video_token_id
        kinds = torch.from_numpy(visual.astype(np.int64) * (_CLIP if prompt.clip else _PICTURE))
        tokens = torch.from_numpy(ids)[None]
        with torch.inference_mode():
            out = self._model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                mm_token_type_ids=kinds[None],
                do_sample=False,
                max_new_tokens=count,
                output_logits=True,
                return_dict_in_generate=True,
                **extra,
            )
        top = torch.stack([step[0] for step in out.logits]).topk(2, dim=1).values
        return Written(out.sequences[0, len(ids) :].tolist(), (top[:, 0] - top[:, 1]).tolist())

    def _seen(self, prompt: Prompt) -> dict[str, Any]:
        """Patches and grids as arguments of the model."""
        import torch

        if prompt.clip:
            size = prompt.views.shape[2], prompt.views.shape[1]
            patches, grid = video_patches(prompt.views, size, self._geometry)
            seen = {"pixel_values_videos": torch.from_numpy(patches), "video_grid_thw": torch.tensor([grid])}
            if not prompt.apart:
                seen["second_per_grid_ts"] = torch.tensor([clip_seconds(self._geometry.temporal)])
            return seen
        if not len(prompt.views):
            return {}
        pixels, grids = VisionEncoder(self._checkpoint).pixels(prompt.views)
        return {"pixel_values": pixels, "image_grid_thw": grids}
