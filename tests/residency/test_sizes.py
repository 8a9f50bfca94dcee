"""What a checkpoint takes: planned, measured, grown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pixelis.settings import Decoding
from python_backends.checkpoints import models_of
from python_backends.residency.sizes import Sizes, resident

TOKEN = 2 * 4 * 2 * 32 * 4
"""Bytes of keys and values: 4 layers, 2 heads of 32, fp32."""
MODELS = models_of("large")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for model in MODELS:
        folder = tmp_path / model / "2"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        (folder / "model.onnx").write_bytes(bytes(1000))
    text = {"num_attention_heads": 6, "hidden_size": 192, "vocab_size": 100, "num_hidden_layers": 4}
    text |= {"num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 4096}
    config = {"text_config": text, "image_token_id": 1, "vision_config": {"spatial_merge_size": 2}}
    (tmp_path / "policy.large" / "2" / "config.json").write_text(json.dumps(config))
    (tmp_path / "policy.large" / "2" / "tokenizer.json").write_text("{}")
    return tmp_path


def files(repository: Path) -> int:
    return 2000 + (repository / "policy.large" / "2" / "config.json").stat().st_size


def test_planned_then_measured_then_grown(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    took = {1: 0, 2: 0}
    monkeypatch.setattr("python_backends.residency.sizes.resident", lambda pids: sum(took[pid] for pid in pids))
    decoding = Decoding(slots=4, max_len=512, cache_bytes=3 * 512 * TOKEN, prefix_bytes=77)
    sizes = Sizes(repository, decoding, 50_000, lambda model: [1 + MODELS.index(model)])
    growing = 3 * 512 * TOKEN + 77
    assert sizes.of(MODELS).bytes == files(repository) + 2 * 50_000 + growing
    assert sizes.of(MODELS).source.startswith("planned")
    took.update({1: 80_000, 2: 90_000})
    assert sizes.measure(MODELS, fresh=True) == 170_000
    assert (sizes.of(MODELS).bytes, sizes.of(MODELS).source[:8]) == (170_000 + growing, "measured")
    took[1] += growing + 5
    sizes.measure(MODELS)
    assert sizes.of(MODELS).bytes == 170_000 + growing + 5
    assert "the most" in sizes.of(MODELS).source


def test_another_version_is_planned_anew(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("python_backends.residency.sizes.resident", lambda pids: 9)
    sizes = Sizes(repository, Decoding(), 1, lambda model: [1])
    sizes.measure(MODELS, fresh=True)
    assert sizes.of(MODELS).source.startswith("measured")
    (repository / "vision_encoder.large" / "2").rename(repository / "vision_encoder.large" / "3")
    assert sizes.of(MODELS).source.startswith("planned")


def test_a_process_takes_memory_and_one_that_is_gone_none() -> None:
    assert resident([os.getpid()]) > 2**20
    assert resident([2**22 + 1]) == 0
