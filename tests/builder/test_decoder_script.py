"""The decoder's own module: what transformers' text models compute, Qwen2.5-VL's and Qwen3-VL's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Qwen3VLTextConfig, Qwen3VLTextModel

from builder.candidate import Candidate
from builder.formats import open_format
from builder.optimization import OptimizationConfig
from builder.sources.decoder import Decoder
from builder.sources.decoder_module import DecoderModule
from builder.sources.decoder_script import load_decoder, read_shape
from pixelis.errors import BuildError

QWEN3 = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 50,
    "max_position_embeddings": 128,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5000.0,
        "mrope_interleaved": True,
        "mrope_section": [6, 5, 5],
    },
}


@pytest.mark.parametrize("batch", [1, 8])
def test_the_script_equals_transformers(random_checkpoint: Path, tmp_path: Path, batch: int) -> None:
    source = Decoder(random_checkpoint)
    source.export_native(tmp_path, Candidate(format="torchscript"))
    sample = next(s for s in source.samples() if len(s["LENGTHS"]) == batch)
    got, wanted = source.answer(tmp_path, sample), source.reference(sample)
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, atol=2e-5 * np.abs(value).max())


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A text model of Qwen3-VL with random weights, and where it lies."""
    torch.manual_seed(3)
    model = Qwen3VLTextModel(Qwen3VLTextConfig(**QWEN3)).eval()
    for weight in model.parameters():
        weight.data.normal_(1.0 if weight.dim() == 1 else 0.0, 0.2)
    folder = tmp_path_factory.mktemp("qwen3")
    model.save_pretrained(folder)
    return folder, model


def test_qwen3s_text_equals_transformers(qwen3: tuple[Path, Any]) -> None:
    folder, model = qwen3
    module = load_decoder(folder, torch.float32)
    generator = torch.Generator().manual_seed(4)
    embeds = torch.randn(2, 9, 64, generator=generator)
    positions = torch.randint(0, 60, (3, 2, 9), generator=generator)
    with torch.inference_mode():
        hidden = model(inputs_embeds=embeds, position_ids=positions, use_cache=False).last_hidden_state
        wanted = hidden @ model.embed_tokens.weight.T
        got = _in_two_parts(module, embeds, positions)
    assert wanted.std() > 0.5
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-5)


def _in_two_parts(module: DecoderModule, embeds: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Logits at every position; the last four tokens are read behind the first five, in the second and third row."""
    cache = torch.zeros(4, 4, 2, 16, 32)
    parts = []
    for begin, end in ((0, 5), (5, 9)):
        at = torch.arange(end - begin).expand(2, -1)
        starts = torch.full((2,), begin)
        parts.append(module(embeds[:, begin:end], positions[:, :, begin:end], starts, at, cache[:, 1:3], end))
    assert not cache[:, ::3].any()
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"hidden_act": "gelu"}, "activation gelu"),
        ({"rope_parameters": {"rope_type": "yarn", "mrope_section": [6, 5, 5]}}, "rotary type yarn"),
        ({"use_sliding_window": True, "sliding_window": 8}, "a sliding window"),
    ],
)
def test_what_the_module_does_not_compute_is_refused(
    qwen3: tuple[Path, Any], tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    config = json.loads((qwen3[0] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(BuildError, match=word):
        read_shape(tmp_path)


def test_configs_of_transformers_4_say_the_same(qwen3: tuple[Path, Any], tmp_path: Path) -> None:
    config = json.loads((qwen3[0] / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_shape(tmp_path) == read_shape(qwen3[0])


def test_a_missing_weight_and_an_option_without_meaning_are_refused(random_checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    flash = Candidate(format="torchscript", optimization=OptimizationConfig(attention="flash"))
    with pytest.raises(BuildError, match="attention has no meaning for the decoder's torchscript-fp32"):
        open_format("torchscript").export(Decoder(random_checkpoint), tmp_path / "out", flash)
    copy = shutil.copytree(random_checkpoint, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    name = next(name for name in weights if name.endswith("layers.1.self_attn.k_proj.weight"))
    save_file({key: value for key, value in weights.items() if key != name}, copy / "model.safetensors")
    with pytest.raises(BuildError, match=r"has no .*layers.1.self_attn.k_proj.weight"):
        load_decoder(copy, torch.float32)


def test_the_artifact_says_what_it_is_and_names_no_path_of_this_machine(
    random_checkpoint: Path, tmp_path: Path
) -> None:
    form = open_format("torchscript")
    bf16 = Candidate(format="torchscript", precision="bf16")
    form.export(Decoder(random_checkpoint), tmp_path, bf16)
    assert form.optimise(tmp_path, bf16)[0].startswith("torch.jit.script: bf16")
    told = form.describe(tmp_path)
    assert {tensor.name: tensor.dtype for tensor in told.inputs}["cache"] == "BF16"
    norms = told.weight_bytes - 2 * told.parameters  # those of states between layers are in single precision
    assert 0 < norms < told.weight_bytes / 100
    assert told.nodes > 100
    assert str(Path(__file__).parents[2]).encode() not in (tmp_path / "model.ts").read_bytes()
