"""`vision_encoder`: the Qwen2.5-VL vision tower for one resolution, from pixels to visual tokens.

Hugging Face's tower computes window indexes from the data and loops over images, so it does not export. Here the grid
is fixed by the policy's view: indexes, rotary tables and window masks are constants, and the batch axis is real.
Architecture: Qwen2.5-VL technical report, arXiv 2502.13923, section 2.1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from builder.sources.base import Tensors, TorchSource
from builder.sources.calibrating import batches, calibration_pictures
from builder.sources.checkpoint import (
    UNTASKED,
    checkpoint_directory,
    checkpoint_files,
    is_nano,
    load_model,
    load_processor,
)
from builder.sources.pictures import photographs, scene
from builder.sources.task import Task
from pixelis.errors import BuildError
from python_backends.policy.profile import Profile

if TYPE_CHECKING:
    import torch


class VisionEncoder(TorchSource):
    """VIEW UINT8 `[B, H, W, 3]` RGB to TOKENS FP32 `[B, n, hidden]`.

    Args:
        checkpoint: Hugging Face directory; none = see `checkpoint_directory`.
    """

    name: ClassVar[str] = "vision_encoder"
    inputs: ClassVar[tuple[str, ...]] = ("VIEW",)
    outputs: ClassVar[tuple[str, ...]] = ("TOKENS",)

    def __init__(self, checkpoint: Path | None = None) -> None:
        self._given = checkpoint

    @property
    def checkpoint(self) -> Path:
        """The directory in use."""
        return checkpoint_directory(self._given)

    def files(self) -> Sequence[Path]:
        """The checkpoint's files, and the code that rewrites its tower."""
        return [*checkpoint_files(self.checkpoint), Path(__file__).with_name("vision_tower.py")]

    def module(self) -> torch.nn.Module:
        """The tower for the view of the checkpoint's profile, pixels in, in eval mode.

        Raises:
            BuildError: the view is not made of whole visual tokens.
        """
        from builder.sources.vision_tower import FixedGridTower

        width, height = Profile.load(self.checkpoint).view
        preprocessor = json.loads((self.checkpoint / "preprocessor_config.json").read_text())
        tower = load_model(self.checkpoint).model.visual
        unit = tower.patch_size * tower.spatial_merge_size
        if width % unit or height % unit:
            raise BuildError(
                f"A view of {width}x{height} is not made of whole visual tokens.",
                mend=f"Make both sides of `view` in pixelis.json multiples of {unit}.",
            )
        return FixedGridTower(tower, width, height, preprocessor["image_mean"], preprocessor["image_std"]).eval()

    def reference(self, inputs: Tensors) -> Tensors:
        """transformers' processor and tower."""
        views: NDArray[np.uint8] = inputs["VIEW"].astype(np.uint8)
        pixels, grids = self.pixels(views)
        tokens = visual_features(load_model(self.checkpoint), pixels, grids)
        return {"TOKENS": tokens.reshape(len(views), -1, tokens.shape[-1])}

    def samples(self) -> list[Tensors]:
        """Pictures in batches of 1, 3 and 8; black, white and noise; photographs."""
        width, height = Profile.load(self.checkpoint).view
        rng = np.random.default_rng(0)
        samples: list[Tensors] = [
            {"VIEW": np.stack([scene(width, height, seed=batch * 100 + i) for i in range(batch)])}
            for batch in (1, 3, 8)
        ]
        # Noise and the extremes reach values that pictures do not.
        noise = rng.integers(0, 256, (1, height, width, 3))
        flat = [np.zeros_like(noise), np.full_like(noise, 255), noise]
        samples.append({"VIEW": np.concatenate(flat).astype(np.uint8)})
        samples.append({"VIEW": photographs(("chelsea", "coffee", "rocket", "camera"), width, height)})
        return samples

    def tasks(self) -> list[Task]:
        """The nano's turns behind this tower; nobody knows the right ones of another checkpoint."""
        from builder.tasks.nano_turns import TowerTurns

        return [TowerTurns(self.checkpoint, lambda: load_model(self.checkpoint))] if is_nano(self.checkpoint) else []

    @property
    def untasked(self) -> str:
        """See `Source.untasked`."""
        return "" if is_nano(self.checkpoint) else UNTASKED

    def calibration(self) -> list[Tensors]:
        """See `calibrating`."""
        width, height = Profile.load(self.checkpoint).view
        return [{"VIEW": batch} for batch in batches(calibration_pictures(64, width, height))]

    def export_onnx(self, directory: Path) -> None:
        """Write `model.onnx`."""
        import torch

        from builder.formats.onnx import export_module

        example = torch.from_numpy(self.samples()[1]["VIEW"])
        path = directory / "model.onnx"
        export_module(self.module(), [example], self.inputs, self.outputs, self.dynamic_axes(), path)

    def pixels(self, views: NDArray[np.uint8]) -> tuple[Any, Any]:
        """Patches and grids that the checkpoint's own image processor makes of views `[N, H, W, 3]`."""
        batch = load_processor(self.checkpoint)(images=list(views), return_tensors="pt")
        return batch["pixel_values"], batch["image_grid_thw"]


def visual_features(model: Any, pixels: Any, grids: Any) -> NDArray[np.float32]:
    """Visual tokens `[n, hidden]` by transformers' own tower, and behind each what it brings for the first layers."""
    import torch

    with torch.inference_mode():
        seen = model.model.visual(pixels, grid_thw=grids)
        deep = getattr(seen, "deepstack_features", None) or []
        tokens: NDArray[np.float32] = torch.cat([seen.pooler_output, *deep], dim=-1).numpy()
    return tokens
