"""`vision_encoder` of either family, with one view and with several, against transformers' processor and tower."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builder.checkpoint_view import read_view
from builder.costing.workload import cases
from builder.shapes import profiles
from builder.sources.vision_encoder import VisionEncoder
from builder.spec import pipeline
from pixelis.errors import BuildError
from pixelis.settings import Settings
from tests.marked import long
from tests.qwen3_checkpoint import VISION, write_qwen3_checkpoint

VIEWS = [[168, 168], [224, 112], [84, 280]]
LEVELS = len(VISION["deepstack_visual_indexes"])


@pytest.fixture(scope="module")
def qwen3_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen3_checkpoint(tmp_path_factory.mktemp("qwen3") / "checkpoint")


def _seeing(checkpoint: Path, directory: Path, view: Any, video: str = "frames") -> Path:
    """A copy of `checkpoint` with `view`, and a processor that leaves it as it is."""
    shutil.copytree(checkpoint, directory)
    for name, changes in (
        ("pixelis.json", {"view": view, "video": video, "video_frames": 8}),
        ("preprocessor_config.json", {"min_pixels": 28 * 28, "max_pixels": 10**6}),
    ):
        path = directory / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return directory


@pytest.mark.parametrize("family", [long("qwen2_5_vl"), "qwen3_vl"])
@pytest.mark.parametrize(
    ("view", "video"),
    [
        long(VIEWS[0], "frames", id="one view"),
        long(VIEWS, "frames", id="three views"),
        long(VIEWS[0], "pairs", id="one view, pairs"),
        pytest.param(VIEWS, "pairs", id="three views, pairs"),
    ],
)
def test_the_artifact_equals_transformers(
    family: str, view: Any, video: str, qwen3_checkpoint: Path, random_checkpoint: Path, tmp_path: Path
) -> None:
    made = qwen3_checkpoint if family == "qwen3_vl" else random_checkpoint
    source = VisionEncoder(_seeing(made, tmp_path / "checkpoint", view, video))
    source.export_onnx(tmp_path)
    samples = source.samples()
    assert {sample["VIEW"].shape[3] for sample in samples} == ({3} if video == "frames" else {3, 6})
    seen = {sample["VIEW"].shape[1:3] for sample in samples}
    assert seen == ({(168, 168)} if view is VIEWS[0] else {(height, width) for width, height in VIEWS})
    width = 64 * (1 + LEVELS) if family == "qwen3_vl" else 192
    with source.opened(tmp_path) as ask:
        for sample in samples:
            got, wanted = ask(sample)["TOKENS"], source.reference(sample)["TOKENS"]
            height, across = sample["VIEW"].shape[1:3]
            assert got.shape == wanted.shape == (len(sample["VIEW"]), height * across // 28**2, width)
            np.testing.assert_allclose(got, wanted, atol=2e-5 * float(np.abs(wanted).max()))


def test_several_views_shape_the_served_tensors(qwen3_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = _seeing(qwen3_checkpoint, tmp_path / "checkpoint", VIEWS)
    assert read_view(checkpoint).sides == (84, 112, 168, 224, 280)
    spec = pipeline(Settings(checkpoint=checkpoint))["vision_encoder"]
    assert (spec.inputs[0].dims, spec.outputs[0].dims) == ((-1, -1, 3), (-1, 64 * (1 + LEVELS)))
    assert spec.buckets == {"VIEW": (84, 112, 168, 224, 280)}


@pytest.mark.parametrize("view", [[168, 168], VIEWS], ids=["one view", "three views"])
def test_pairs_shape_the_served_tensors(view: Any, qwen3_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = _seeing(qwen3_checkpoint, tmp_path / "checkpoint", view, "pairs")
    spec = pipeline(Settings(checkpoint=checkpoint))["vision_encoder"]
    several = view is VIEWS
    assert spec.inputs[0].dims == ((-1, -1, -1) if several else (168, 168, -1))
    assert spec.parameters == {"channels": "3,6"}
    made, kernels = [entry.maximum["VIEW"] for entry in profiles(spec)], profiles(spec)[0].minimum["VIEW"]
    batch = spec.max_batch_size
    assert kernels == ((1, 84, 84, 3) if several else (1, 168, 168, 3))
    assert made[-1] == ((batch, 280, 280, 6) if several else (batch, 168, 168, 6))
    shapes = [case.inputs["VIEW"].shape for case in cases(spec, VisionEncoder(checkpoint)) if "bucket" in case.name]
    assert shapes[-1] == ((1, 280, 280, 3) if several else (1, 168, 168, 6))


def test_a_view_that_the_processor_would_resize_is_refused(qwen3_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = _seeing(qwen3_checkpoint, tmp_path / "checkpoint", [[168, 168], [1400, 1400]])
    with pytest.raises(BuildError, match=r"1400x1400 is 1960000 pixels.*784 to 1000000"):
        VisionEncoder(checkpoint).module()
