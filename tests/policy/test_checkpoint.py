"""What is read of a checkpoint's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixelis.errors import SetupError
from python_backends.policy.checkpoint import CheckpointConfig


def _write(directory: Path, config: dict[str, object], generation: dict[str, object] | None = None) -> Path:
    (directory / "config.json").write_text(json.dumps(config))
    added = [{"id": 5, "content": "<|im_end|>"}, {"id": 6, "content": "<|im_start|>"}]
    (directory / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    if generation is not None:
        (directory / "generation_config.json").write_text(json.dumps(generation))
    return directory


FLAT: dict[str, object] = {
    "vocab_size": 240, "hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 6, "num_key_value_heads": 2,
    "max_position_embeddings": 2048, "image_token_id": 7, "vision_config": {"spatial_merge_size": 2}, "eos_token_id": 3,
}  # fmt: skip


def test_the_flat_form_that_older_checkpoints_have(tmp_path: Path) -> None:
    config = CheckpointConfig.load(_write(tmp_path, FLAT))
    assert (config.hidden, config.head_dim, config.kv_heads, config.layers) == (192, 32, 2, 4)


def test_the_nested_form_equals_it(tmp_path: Path) -> None:
    outer = ("image_token_id", "vision_config", "eos_token_id")
    nested = {"text_config": {k: v for k, v in FLAT.items() if k not in outer}, **{k: FLAT[k] for k in outer}}
    flat, deep = tmp_path / "flat", tmp_path / "deep"
    flat.mkdir(), deep.mkdir()
    assert CheckpointConfig.load(_write(flat, FLAT)) == CheckpointConfig.load(_write(deep, nested))


def test_end_ids_come_from_every_file(tmp_path: Path) -> None:
    config = CheckpointConfig.load(_write(tmp_path, FLAT, {"eos_token_id": [3, 4]}))
    assert config.end_ids == {3, 4, 5}


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    config = {key: value for key, value in FLAT.items() if key != "num_key_value_heads"}
    with pytest.raises(SetupError, match=r"num_key_value_heads.*pixelis build policy"):
        CheckpointConfig.load(_write(tmp_path, config))
