"""Files beside a checkpoint that are none: each is said to be one, with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.sources.checkpoint import NANO
from pixelis.errors import PixelisError, SetupError
from python_backends.engine.onnxruntime_engine import open_session
from python_backends.engine.openvino_engine import engine_settings
from python_backends.engine.torch_settings import TorchSettings
from python_backends.pipeline.dialects import OWN, read_dialect
from python_backends.pipeline.memory import Voice
from python_backends.policy.calls.vocabulary import Vocabulary
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.geometry import Geometry
from python_backends.policy.profile import Profile
from python_backends.visual_ops.ocr import load_characters

CONFIG = json.loads((NANO / "config.json").read_text(encoding="utf-8"))
TOKENS = {"model": {"vocab": {"a": 0}}}
NONE = [b"", b"[1]", b"7", b"\xff", b"[" * 20_000, b'{"a": "\\ud800"}']


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copytree(NANO, tmp_path / "it", ignore=shutil.ignore_patterns("*.safetensors"))
    return tmp_path / "it"


def written(path: Path, said: object) -> None:
    path.write_bytes(said if isinstance(said, bytes) else json.dumps(said).encode())


@pytest.mark.parametrize(
    "said",
    [
        *NONE,
        {"view": [0, 168]},
        {"view": [[168, 168], [-1, 4]]},
        {"view": [10**9, 1]},
        {"dialect": 7},
        {"dialect": ["qwen3_vl"]},
        {"calibration": {"bias": float("nan"), "answer": 1, "call": 1}},
    ],
)
def test_profiles(directory: Path, said: object) -> None:
    written(directory / "pixelis.json", said)
    with pytest.raises(SetupError):
        Profile.load(directory)


def changed(**changes: Any) -> dict[str, Any]:
    return {**CONFIG, **changes}


TEXT = CONFIG.get("text_config", CONFIG)


@pytest.mark.parametrize(
    "said",
    [
        *NONE,
        changed(vision_config=7),
        changed(vision_config={**CONFIG["vision_config"], "spatial_merge_size": "two"}),
        changed(text_config={**TEXT, "num_attention_heads": 0, "head_dim": None}),
        changed(text_config={**TEXT, "hidden_size": [1]}),
        changed(text_config={**TEXT, "vocab_size": -5}),
        changed(text_config=[1]),
        changed(eos_token_id=[[1]]),
    ],
)
def test_checkpoints(directory: Path, said: object) -> None:
    assert CheckpointConfig.load(directory).merge == 2
    written(directory / "config.json", said)
    with pytest.raises(SetupError):
        CheckpointConfig.load(directory)
    with pytest.raises(SetupError):
        Voice.load(directory)


@pytest.mark.parametrize(
    "said", [*NONE, {"patch_size": 0}, {"patch_size": float("inf")}, {"min_pixels": -1}, {"image_mean": [float("nan")]}]
)
def test_preprocessors(directory: Path, said: object) -> None:
    written(directory / "preprocessor_config.json", said)
    with pytest.raises(SetupError):
        Geometry.load(directory)


@pytest.mark.parametrize(
    "said",
    [
        *NONE,
        {**TOKENS, "decoder": 7},
        {**TOKENS, "decoder": {"decoders": [7]}},
        {**TOKENS, "added_tokens": 7},
        {**TOKENS, "added_tokens": [{"id": -1, "content": "x", "special": True}]},
        {"model": {"vocab": {"a": [1]}}},
    ],
)
def test_tokenizers(directory: Path, said: object) -> None:
    written(directory / "tokenizer.json", said)
    with pytest.raises(SetupError):
        Vocabulary.load(directory, 40)
    with pytest.raises(SetupError):
        Voice.load(directory)


def _session(directory: Path) -> None:
    open_session(directory / "model.onnx", 1)


@pytest.mark.parametrize("said", NONE)
@pytest.mark.parametrize(
    "read",
    [TorchSettings.read, lambda at: engine_settings(at / "engine.json"), _session],
    ids=["torch", "openvino", "onnx"],
)
def test_engines(directory: Path, read: Callable[[Path], Any], said: object) -> None:
    written(directory / "engine.json", said)
    with pytest.raises(SetupError):
        read(directory)


@pytest.mark.parametrize("said", [*NONE, [["a"]]])
def test_characters(directory: Path, said: object) -> None:
    written(directory / "characters.json", said)
    with pytest.raises(PixelisError):
        load_characters(directory)


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"tools: 7\nextends: qwen2_5_vl",
        b"tools: [a]\nextends: qwen2_5_vl",
        b"extends: [a]",
        b"most_frames: 2001-99-99",
        b"coordinates: !!timestamp x",
        b"a: " + b"[" * 5000,
        b"1: 2",
    ],
)
def test_dialects(directory: Path, text: bytes) -> None:
    (directory / OWN).write_bytes(text)
    with pytest.raises(SetupError):
        read_dialect(directory / OWN)
