"""The runtime against `transformers.generate`, pictures included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builder.sources.checkpoint import load_model
from builder.sources.decoder import Decoder
from builder.sources.pictures import scene
from builder.sources.vision_encoder import VisionEncoder, visual_features
from pixelis.schema import Sampling
from python_backends.policy import conversation
from python_backends.policy.profile import Profile
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime
from python_backends.policy.tokenizer import PolicyTokenizer
from tests.checkpoints import trained_checkpoint
from tests.policy.support import ask, request

QUESTIONS = (
    ("What is written on the red label?", 1),
    ("What colour is the star?", 1),
    ("Which colour is the circle?", 2),
    ("What colour is the star?", 0),
)


def _prompts(checkpoint: Path) -> list[tuple[np.ndarray, Any, Any]]:
    """(ids, patches, grids) of each question."""
    tokenizer, profile = PolicyTokenizer(checkpoint), Profile.load(checkpoint)
    prompts = []
    for seed, (question, images) in enumerate(QUESTIONS):
        views = np.stack([scene(*profile.view, seed=10 * seed + i) for i in range(max(images, 1))])
        pixels, grids = VisionEncoder(checkpoint).pixels(views)
        ids = tokenizer.encode(conversation.opening(profile, question, images), [36] * images)
        prompts.append((ids, pixels if images else None, grids if images else None))
    return prompts


def _generate(model: Any, ids: np.ndarray, pixels: Any, grids: Any, count: int) -> tuple[list[int], list[float]]:
    """Greedy tokens of transformers, and the distance from each to the runner-up."""
    import torch

    tokens = torch.from_numpy(ids)[None]
    extra = {"mm_token_type_ids": (tokens == model.config.image_token_id).to(torch.int64)}
    if pixels is not None:
        extra |= {"pixel_values": pixels, "image_grid_thw": grids}
    out = model.generate(
        tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=count, output_logits=True,
        return_dict_in_generate=True, **extra,
    )  # fmt: skip
    top = torch.stack([step[0] for step in out.logits]).topk(2, dim=1).values
    return out.sequences[0, len(ids) :].tolist(), (top[:, 0] - top[:, 1]).tolist()


def _compare(checkpoint: Path, artifact: Path, count: int) -> None:
    model = load_model(checkpoint)
    prompts = _prompts(checkpoint)
    with PolicyRuntime(artifact, slots=4, max_len=512) as runtime:
        callers = []
        for i, (ids, pixels, grids) in enumerate(prompts):
            visual = None if pixels is None else visual_features(model, pixels, grids)
            flat = np.zeros(0, np.int32) if grids is None else grids.numpy().astype(np.int32).reshape(-1)
            sampling = Sampling(request_id=str(i), max_tokens=count)
            callers.append(ask(runtime, PolicyRequest(ids, visual, flat, sampling)))
        for caller, prompt in zip(callers, prompts, strict=True):
            wanted, margins = _generate(model, *prompt, count)
            got = caller.wait().tokens
            sure = next((i for i, margin in enumerate(margins) if margin < 1e-3), len(wanted))
            assert got[:sure] == wanted[:sure]
            assert sure >= min(4, len(wanted)), "the comparison is empty"


def test_greedy_tokens_equal_transformers(random_checkpoint: Path, policy_artifact: Path) -> None:
    _compare(random_checkpoint, policy_artifact, count=24)


@pytest.mark.skipif(trained_checkpoint() is None, reason="the nano is not trained yet")
def test_greedy_tokens_of_the_nano_equal_transformers(tmp_path: Path) -> None:
    checkpoint = trained_checkpoint()
    assert checkpoint is not None
    Decoder(checkpoint).export_onnx(tmp_path)
    _compare(checkpoint, tmp_path, count=48)
    with PolicyRuntime(tmp_path, slots=8, max_len=512) as runtime:
        asked = [request(runtime, seed, images=1 + seed % 2, max_tokens=20) for seed in range(32)]
        alone = [ask(runtime, one).wait().tokens for one in asked]
        busy = [ask(runtime, one) for one in asked]
        assert [caller.wait().tokens for caller in busy] == alone
