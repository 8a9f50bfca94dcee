"""`vision_encoder`: the vision tower of Qwen2.5-VL or Qwen3-VL, from pixels to visual tokens.

Hugging Face's towers compute indexes from the data and loop over images, so they do not export. Here the batch axis is
real. Where the policy has one view, the grid is fixed by it, and indexes, tables of positions and window masks are
constants; where it has several (buckets of resolution), they are computed from the view's size, in one artifact that
holds the weights once. Architectures: arXiv 2502.13923, section 2.1, and arXiv 2511.21631.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from builder.checkpoints.architecture import read_architecture
from builder.checkpoints.profile import check_view
from builder.sources.base import Answer, Tensors, TorchSource
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
from python_backends.policy.geometry import Geometry, Size
from python_backends.policy.patches import normalised, patchified
from python_backends.policy.profile import Profile

if TYPE_CHECKING:
    import torch


class VisionEncoder(TorchSource):
    """VIEW UINT8 `[B, H, W, 3]` RGB to TOKENS FP32 `[B, n, width]`.

    Where the profile reads videos in pairs, VIEW may also be `[B, H, W, 6]`: two frames that are one temporal patch.

    `width` is the decoder's; of Qwen3-VL its multiple, because the features of each deepstack level stand behind a
    token.

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
        names = ("tower", "tower_any", "tower_qwen3", "patches")
        towers = [Path(__file__).with_name(f"vision_{name}.py") for name in names]
        return [*checkpoint_files(self.checkpoint), *towers]

    def module(self) -> torch.nn.Module:
        """The tower for the views of the checkpoint's profile, pixels in, in eval mode.

        Raises:
            BuildError: a view is not made of whole visual tokens, or one that the processor would resize.
        """
        from builder.sources.vision_tower import FixedGridTower
        from builder.sources.vision_tower_any import AnyGridTower
        from builder.sources.vision_tower_qwen3 import InterpolatedTower

        pixels, sizes = Geometry.load(self.checkpoint), self.sizes
        for size in sizes:
            check_view(size, pixels)
        tower = load_model(self.checkpoint).model.visual
        fixed, frames = sizes[0] if len(sizes) == 1 else None, 2 if self.pairs else 1
        if read_architecture(self.checkpoint).family == "qwen3_vl":
            return InterpolatedTower(tower, fixed, pixels.mean, pixels.std, frames).eval()
        if fixed is None:
            return AnyGridTower(tower, pixels.mean, pixels.std, frames).eval()
        return FixedGridTower(tower, *fixed, pixels.mean, pixels.std, frames).eval()

    @property
    def sizes(self) -> tuple[Size, ...]:
        """(width, height) of the policy's views."""
        return Profile.load(self.checkpoint).sizes

    @property
    def pairs(self) -> bool:
        """Whether two frames of a video may be one view."""
        return Profile.load(self.checkpoint).video == "pairs"

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """The batch; of several views, whole visual tokens as well; of pairs, the frames."""
        axes = {0: "batch"}
        if len(self.sizes) > 1:
            unit = Geometry.load(self.checkpoint).factor
            axes |= {1: f"{unit} height", 2: f"{unit} width"}
        return {"VIEW": axes | ({3: "3 frames"} if self.pairs else {})}

    def reference(self, inputs: Tensors) -> Tensors:
        """transformers' processor and tower."""
        views: NDArray[np.uint8] = inputs["VIEW"].astype(np.uint8)
        pixels, grids = self.pixels(views)
        tokens = visual_features(load_model(self.checkpoint), pixels, grids)
        return {"TOKENS": tokens.reshape(len(views), -1, tokens.shape[-1])}

    def samples(self) -> list[Tensors]:
        """Pictures in batches of 1, 3 and 8; black, white, noise; photographs. Of further views, two pictures each.

        Of pairs, one, three and a pair of each further view besides.
        """
        (width, height), *others = self.sizes
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
        samples += [{"VIEW": np.stack([scene(*size, seed=i) for i in (900, 901)])} for size in others]
        if self.pairs:
            samples += [{"VIEW": _pairs(batch, (width, height))} for batch in (1, 3)]
            samples += [{"VIEW": _pairs(1, size)} for size in others]
        return samples

    def example(self) -> Tensors:
        """Pictures, or pairs where there are some: no axis that varies may be of length 1 in its own units."""
        return {"VIEW": _pairs(2, self.sizes[0])} if self.pairs else super().example()

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
        return [
            {"VIEW": batch}
            for width, height in self.sizes
            for batch in batches(calibration_pictures(64 // len(self.sizes), width, height))
        ]

    def export_onnx(self, directory: Path) -> None:
        """Write `model.onnx`."""
        import torch

        from builder.formats.onnx import export_module

        example = torch.from_numpy(self.example()["VIEW"])
        path = directory / "model.onnx"
        export_module(self.module(), [example], self.inputs, self.outputs, self.dynamic_axes(), path)

    @contextmanager
    def opened(self, directory: Path, threads: int = 1) -> Iterator[Answer]:
        """See `Source.opened`; mapped weights that were used leave this process's memory again."""
        from builder.checkpoints.trim import trimmed

        with trimmed(directory), super().opened(directory, threads) as ask:
            yield ask

    def pixels(self, views: NDArray[np.uint8]) -> tuple[Any, Any]:
        """Patches and grids that the checkpoint's own image processor makes of views `[N, H, W, 3]`.

        Of pairs `[N, H, W, 6]`, those of a video of two frames each, by `policy.patches`, which is held equal to it.
        """
        if views.shape[-1] == 6:
            return self._video_pixels(views)
        batch = load_processor(self.checkpoint)(images=list(views), return_tensors="pt")
        return batch["pixel_values"], batch["image_grid_thw"]

    def _video_pixels(self, views: NDArray[np.uint8]) -> tuple[Any, Any]:
        import torch

        geometry = Geometry.load(self.checkpoint)
        clips = [np.stack([view[..., :3], view[..., 3:]]) for view in views]
        made = [patchified(normalised(clip, geometry), geometry) for clip in clips]
        patches = np.concatenate([patches for patches, _ in made])
        return torch.from_numpy(patches), torch.tensor([grid for _, grid in made])


def _pairs(count: int, size: Size) -> NDArray[np.uint8]:
    """`[count, H, W, 6]`: two frames of a shifted scene, another one for each pair."""
    first = np.stack([scene(*size, seed=700 + i) for i in range(count)])
    return np.concatenate([first, np.roll(first, size[0] // 8, axis=2) // 2 + 40], axis=-1)


def visual_features(model: Any, pixels: Any, grids: Any) -> NDArray[np.float32]:
    """Visual tokens `[n, width]` by transformers' own tower, deepstack features behind them where it has some."""
    import torch

    with torch.inference_mode():
        seen = model.model.visual(pixels, grid_thw=grids)
        features = getattr(seen, "deepstack_features", None) or []
        tokens: NDArray[np.float32] = torch.cat([seen.pooler_output, *features], dim=-1).numpy()
    return tokens
