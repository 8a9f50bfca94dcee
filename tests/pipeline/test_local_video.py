"""A video through the pipeline with a Qwen3-VL checkpoint's own artifacts: what it writes is what transformers does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builder.candidate import Candidate
from builder.formats import open_format
from builder.sources.vision_encoder import VisionEncoder
from perf.checkpoint.prompts import Prompt
from perf.checkpoint.reference import Reference
from pixelis.schema import PolicyEvent, Sampling
from pixelis.settings import Limits, Settings, settings
from python_backends.images import DecodedImages
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.models import Floats
from python_backends.pipeline.prepare import Preparer
from python_backends.pipeline.reason import Reasoner, outcome_of
from tests.pipeline.conftest import png
from tests.policy.support import write_artifact
from tests.qwen3_checkpoint import write_qwen3_checkpoint

pytestmark = pytest.mark.slow
FRAMES, TOKENS = 4, 16


class Heard(LocalModels):
    """Which notes what the policy is asked, and what it writes."""

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.prompts: list[np.ndarray] = []
        self.written: list[int] = []

    def generate(
        self, prompt_ids: np.ndarray, visual: Floats, grids: np.ndarray, sampling: Sampling
    ) -> Iterator[PolicyEvent]:
        self.prompts.append(prompt_ids)
        for event in super().generate(prompt_ids, visual, grids, sampling):
            self.written.extend(event.tokens)
            yield event


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_qwen3_checkpoint(tmp_path_factory.mktemp("qwen3") / "checkpoint", tied=False)
    profile: dict[str, Any] = {"view": [168, 168], "video": "pairs", "video_frames": FRAMES, "grammar": False}
    (made / "pixelis.json").write_text(json.dumps(profile))
    return made


@pytest.fixture(scope="module")
def repository(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    for model in ("policy", "vision_encoder", "embed_text"):
        (root / model / "1").mkdir(parents=True)
        (root / model / "1" / "manifest.json").write_text("{}")
    write_artifact("onnx", root / "policy" / "1", checkpoint)
    open_format("onnx").export(VisionEncoder(checkpoint), root / "vision_encoder" / "1", Candidate(format="onnx"))
    shutil.copyfile(checkpoint / "tokenizer.json", root / "embed_text" / "1" / "tokenizer.json")
    return root


def test_a_video_is_continued_as_transformers_does(repository: Path, checkpoint: Path, tmp_path: Path) -> None:
    config = settings().model_copy(update={"repository": repository, "state": tmp_path})
    voice, decoded = Voice.load(repository / "policy" / "1"), DecodedImages()
    frames = [png(336, 168, seed=i) for i in range(9)]
    options = json.dumps({"media": "video", "fps": 3.0, "max_tokens": TOKENS, "max_operations": 1, "timeout_s": 300})
    prepared = Preparer(voice.profile, Limits(), decoded)(frames, b"Which side does it leave by?", options.encode())
    with Heard(config) as models:
        outcome_of(Reasoner(models, voice, decoded).run(prepared.images, prepared.request, prepared.views))
    assert prepared.views.shape == (FRAMES, 168, 168, 3)
    clip = Prompt("video", models.prompts[0], prepared.views, (FRAMES // 2, 12, 12), apart=True)
    wanted = Reference(checkpoint, 1).generate(clip, TOKENS)
    sure = next((i for i, margin in enumerate(wanted.margins) if margin < 1e-3), TOKENS)
    assert sure >= TOKENS // 2, "the comparison is empty"
    assert models.written[:sure] == wanted.tokens[:sure]
