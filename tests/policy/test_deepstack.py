"""Qwen3-VL served: what the vision tower has for the first layers reaches them, however requests are scheduled."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from builder.sources.checkpoint import load_model
from pixelis.errors import InvalidRequest, SetupError
from python_backends.policy.positions import mrope_positions
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime
from tests.policy.support import GRID, ask, request, write_artifact
from tests.qwen3_checkpoint import write_qwen3_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen3_checkpoint(tmp_path_factory.mktemp("qwen3") / "checkpoint", tied=False)


@pytest.fixture(scope="module")
def artifact(qwen3: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact("onnx", tmp_path_factory.mktemp("qwen3") / "artifact", qwen3)


@pytest.fixture(scope="module")
def asked(artifact: Path) -> list[PolicyRequest]:
    """Prompts with none, one and two images; two that begin alike."""
    with PolicyRuntime(artifact) as runtime:
        made = [request(runtime, seed, images=seed % 3, text=30, ignore_end=True) for seed in range(6)]
    return [*made, dataclasses.replace(made[2], sampling=made[2].sampling.model_copy(update={"request_id": "again"}))]


def _likeliest(checkpoint: Path, one: PolicyRequest) -> list[int]:
    """What transformers' text model says, read whole for every token, with the same visual tokens and features."""
    model: Any = load_model(checkpoint)
    text, image = model.model.language_model, model.config.image_token_id
    ids, made = one.prompt_ids, []
    for _ in range(one.sampling.max_tokens):
        grids = [GRID] * (len(one.grids) // 3)
        places, _ = mrope_positions(ids, grids, image, 2)
        embeds = text.embed_tokens(torch.from_numpy(ids)[None])
        extra: dict[str, Any] = {}
        if grids:
            assert one.visual is not None
            visual, *deep = torch.from_numpy(one.visual).chunk(4, dim=-1)
            mask = torch.from_numpy(ids == image)[None]
            embeds = embeds.masked_scatter(mask[..., None], visual)
            extra = {"visual_pos_masks": mask, "deepstack_visual_embeds": deep}
        with torch.inference_mode():
            out = text(inputs_embeds=embeds, position_ids=torch.from_numpy(places)[:, None], use_cache=False, **extra)
            made.append(int(model.lm_head(out.last_hidden_state[0, -1]).argmax()))
        ids = np.append(ids, made[-1])
    return made


@pytest.mark.parametrize(
    ("limits", "chunk"),
    [({"slots": 1, "prefix_bytes": 0}, 4096), ({"slots": 4}, 16), ({"slots": 4, "speculation": False}, 4096)],
    ids=["alone", "in-chunks", "together"],
)
def test_tokens_are_those_of_transformers(
    limits: dict[str, Any], chunk: int, artifact: Path, qwen3: Path, asked: list[PolicyRequest]
) -> None:
    with PolicyRuntime(artifact, **limits) as runtime:
        runtime._scheduler._pacing.chunk = lambda decoding: chunk  # type: ignore[method-assign]
        callers = [ask(runtime, one) for one in asked]
        answers = [caller.wait().tokens for caller in callers]
    assert answers == [_likeliest(qwen3, one) for one in asked]
    assert len({tuple(tokens) for tokens in answers}) > 4


def test_visual_tokens_without_features_are_refused(artifact: Path, asked: list[PolicyRequest]) -> None:
    with PolicyRuntime(artifact) as runtime:
        one = asked[1]
        assert one.visual is not None
        narrow = dataclasses.replace(one, visual=one.visual[:, : runtime.config.hidden])
        with pytest.raises(InvalidRequest, match=r"make it \[36, 256\]"):
            ask(runtime, narrow)


def test_a_graph_that_takes_no_features_is_refused(artifact: Path, tmp_path: Path) -> None:
    """As the model builder of onnxruntime-genai would write it: right on text alone."""
    shutil.copytree(artifact, tmp_path / "artifact")
    config = json.loads((artifact / "config.json").read_text())
    config["vision_config"]["deepstack_visual_indexes"] = [0, 1, 2, 3]
    (tmp_path / "artifact" / "config.json").write_text(json.dumps(config))
    with pytest.raises(SetupError, match=r"deepstack\.3"):
        PolicyRuntime(tmp_path / "artifact")
