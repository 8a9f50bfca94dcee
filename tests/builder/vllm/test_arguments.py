"""What vLLM is started with follows from the checkpoint, or is refused with what would do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.checkpoints.architecture import Architecture, read_architecture
from builder.sources.checkpoint import NANO
from builder.vllm.arguments import check_parallel, engine_file, tower_mode
from builder.vllm.options import VllmOptions
from pixelis.errors import BuildError
from tests.full_width import SHAPES

IDS = {"image_token_id": 1, "video_token_id": 2, "vision_start_token_id": 3, "vision_end_token_id": 4}
NANO_PIXELS = 168 * 168


def shaped(folder: Path, shape: str) -> Architecture:
    """The real architecture of that name."""
    (folder / "config.json").write_text(json.dumps({**SHAPES[shape], **IDS}), encoding="utf-8")
    return read_architecture(folder)


@pytest.mark.parametrize(
    ("shape", "right"),
    [
        ("qwen2.5-vl-3b", (1, 2, 4, 8, 16)),
        ("qwen2.5-vl-7b", (1, 2, 4)),
        ("qwen2.5-vl-72b", (1, 2, 4, 8, 16, 32, 64)),
        ("qwen3-vl-8b", (1, 2, 4, 8, 16, 32)),
    ],
)
def test_how_many_gpus_can_share_the_layers(tmp_path: Path, shape: str, right: tuple[int, ...]) -> None:
    architecture = shaped(tmp_path, shape)
    for count in range(1, 65):
        if count in right:
            check_parallel(architecture, count, 1)
            continue
        with pytest.raises(BuildError, match="cannot share the layers") as refused:
            check_parallel(architecture, count, 1)
        assert f"may be {', '.join(map(str, right))}." in str(refused.value)


def test_a_message_says_what_does_not_go_in(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="28 heads are not a multiple of 8"):
        check_parallel(shaped(tmp_path, "qwen2.5-vl-7b"), 8, 1)
    with pytest.raises(BuildError, match="there are 28"):
        check_parallel(shaped(tmp_path, "qwen2.5-vl-7b"), 1, 29)


@pytest.mark.parametrize(
    ("shape", "tensor", "mode"),
    [("qwen2.5-vl-7b", 4, "weights"), ("qwen2.5-vl-3b", 8, "data"), ("qwen2.5-vl-72b", 8, "weights")],
)
def test_a_tower_that_cannot_be_shared_is_repeated(tmp_path: Path, shape: str, tensor: int, mode: str) -> None:
    assert tower_mode(shaped(tmp_path, shape), tensor) == mode


def test_the_nano_says_everything_that_the_engine_must_know() -> None:
    made = engine_file(NANO, read_architecture(NANO), ["F16"], VllmOptions(tensor_parallel=2))
    assert (made.patch, made.checkpoint, made.max_model_len) == (14, str(NANO), 2048)
    assert json.loads(made.arguments.text()) == {
        "model": str(NANO),
        "served_model_name": "policy_vllm",
        "dtype": "float16",
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 1,
        "gpu_memory_utilization": 0.9,
        "max_model_len": 2048,
        "enable_prefix_caching": True,
        "limit_mm_per_prompt": {"image": (2048 - 256) // 36, "video": 0},
        "mm_encoder_tp_mode": "weights",
        "mm_processor_kwargs": {"min_pixels": NANO_PIXELS, "max_pixels": NANO_PIXELS},
    }


@pytest.mark.parametrize(("dtypes", "said"), [(["BF16"], "bfloat16"), (["F32"], "auto"), (["BF16", "F32"], "auto")])
def test_weights_are_computed_with_as_they_were_saved(dtypes: list[str], said: str) -> None:
    made = engine_file(NANO, read_architecture(NANO), dtypes, VllmOptions())
    assert made.arguments.dtype == said


def test_where_the_server_sees_the_checkpoint() -> None:
    made = engine_file(NANO, read_architecture(NANO), ["F16"], VllmOptions(checkpoint_at="/models/nano"))
    assert (made.arguments.model, made.checkpoint) == ("/models/nano", str(NANO))


@pytest.mark.parametrize("length", [200, 2049])
def test_a_context_that_does_not_fit(length: int) -> None:
    with pytest.raises(BuildError, match="may be 292 to 2048"):
        engine_file(NANO, read_architecture(NANO), ["F16"], VllmOptions(max_model_len=length))
