"""Random checkpoints: whole, of the size that was asked for, always the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from builder.checkpoint_view import read_view
from builder.sources import random_checkpoint as made
from builder.sources.checkpoint import checkpoint_files, load_model
from builder.sources.decoder import Decoder
from builder.sources.vision_encoder import VisionEncoder

SMALL_TEXT = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 300}
SMALL_TEXT |= {"num_attention_heads": 2, "num_key_value_heads": 1}
SMALL_VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 64}
SMALL_VISION |= {"fullatt_block_indexes": [1]}


def _digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in checkpoint_files(directory)}


def test_it_is_whole_and_repeats(tmp_path: Path) -> None:
    one, two = (made.write_checkpoint(tmp_path / name, SMALL_TEXT, SMALL_VISION, 224, seed=3) for name in ("1", "2"))
    assert _digests(one) == _digests(two)
    other = made.write_checkpoint(tmp_path / "3", SMALL_TEXT, SMALL_VISION, 224, seed=4)
    assert _digests(other)["model.safetensors"] != _digests(one)["model.safetensors"]
    view = read_view(one)
    assert (view.width, view.height, view.tokens, view.hidden) == (224, 224, 64, 64)
    sample = Decoder(one).samples()[1]
    logits = Decoder(one).reference(sample)["PREFILL_LOGITS"]
    assert logits.shape == (3, 300)
    assert 0.5 < logits.std() < 5
    tokens = VisionEncoder(one).reference(VisionEncoder(one).samples()[0])["TOKENS"]
    assert tokens.shape == (1, 64, 64)
    assert 0.1 < tokens.std() < 10


def test_without_tied_tables_answers_depend_on_the_whole_prompt(tmp_path: Path) -> None:
    text = {**SMALL_TEXT, "tie_word_embeddings": False}
    model = load_model(made.write_checkpoint(tmp_path / "untied", text, SMALL_VISION, 224, seed=3))
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(20, 300, (8, 40), generator=generator)
    other = ids.clone()
    other[:, :20] = torch.randint(20, 300, (8, 20), generator=generator)
    with torch.inference_mode():
        liked, then = (model(input_ids=prompt).logits[:, -1].argmax(1) for prompt in (ids, other))
    assert model.lm_head.weight is not model.model.language_model.embed_tokens.weight
    assert (liked != ids[:, -1]).sum() >= 6
    assert (liked != then).sum() >= 4


def test_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "TEXT", SMALL_TEXT)
    monkeypatch.setattr(made, "VISION", SMALL_VISION)
    directory = made.random_checkpoint(tmp_path / "deep" / "small")
    before = {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}
    assert made.random_checkpoint(directory) == directory
    assert {path.name: path.stat().st_mtime_ns for path in directory.iterdir()} == before
    assert [path.name for path in directory.parent.iterdir()] == ["small"]


def test_half_of_one_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "TEXT", SMALL_TEXT)
    monkeypatch.setattr(made, "VISION", SMALL_VISION)
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "config.json").write_text("{}")
    made.random_checkpoint(tmp_path / "small")
    assert read_view(tmp_path / "small").hidden == 64
