"""The mapped model answers what the loaded one does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from builder.checkpoints.mapped import is_large
from builder.checkpoints.mapped_model import MappedLinear, load_mapped
from builder.checkpoints.weights import Weights
from builder.sources.checkpoint import NANO
from tests.builder.checkpoints.test_architecture import small


def _inputs(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A prompt with a picture of 4 by 8 patches."""
    config = model.config
    vision = config.vision_config
    ids = torch.tensor([[11, 12, *[config.image_token_id] * 8, 13, 14, 15]])
    width = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    pixels = torch.randn(32, width, generator=torch.Generator().manual_seed(0))
    kinds = (ids == config.image_token_id).to(torch.int64)
    return {
        "input_ids": ids,
        "pixel_values": pixels,
        "image_grid_thw": torch.tensor([[1, 4, 8]]),
        "mm_token_type_ids": kinds,
    }


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["qwen2.5-vl-7b", "qwen3-vl-8b", "qwen3-vl-4b", "nano"])
def test_it_is_the_loaded_model(tmp_path: Path, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForImageTextToText

    directory = NANO if shape == "nano" else small(tmp_path, shape)
    monkeypatch.setattr("builder.checkpoints.mapped_model.CHUNK", 1000)
    loaded = AutoModelForImageTextToText.from_pretrained(directory, local_files_only=True, dtype=torch.float32).eval()
    mapped = load_mapped(directory)
    inputs = _inputs(loaded)
    with torch.inference_mode():
        torch.testing.assert_close(mapped(**inputs).logits, loaded(**inputs).logits, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, torch.nn.Linear) for module in mapped.model.language_model.modules())
    assert isinstance(mapped.lm_head, MappedLinear)


def test_the_nano_is_not_large() -> None:
    assert not is_large(Weights(NANO))
