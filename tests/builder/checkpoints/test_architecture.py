from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builder.checkpoints.architecture import read_architecture
from builder.checkpoints.expected import expected
from builder.checkpoints.weights import Weights
from builder.sources.checkpoint import NANO
from pixelis.errors import BuildError
from tests.full_width import SHAPES, write_full_width

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "vocab_size": 320,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_heads": 2}


def small(directory: Path, shape: str, **changes: Any) -> Path:
    """A directory of a real shape's spelling and a few thousand weights."""
    rope = {"mrope_section": [4, 2, 2]}
    newer = shape.startswith("qwen3")
    text = {**SMALL, "rope_scaling": {**rope, **({"rope_type": "default"} if newer else {"type": "mrope"})}}
    text |= {"head_dim": 16} if newer else {}
    tower = {**TOWER, **({"num_position_embeddings": 16} if newer else {})}
    return write_full_width(directory, shape, text={**text, **changes}, vision=tower, shard=40_000)


def test_the_nano_is_a_qwen2_5_vl() -> None:
    found = read_architecture(NANO)
    assert (found.family, found.text.tied, found.text.head_dim, found.dtype) == ("qwen2_5_vl", True, 32, "float16")
    assert found.vision.unit == 28
    weights = Weights(NANO)
    assert expected(found) == {name: weights.shape(name) for name in weights.canonical_names}


@pytest.mark.parametrize("shape", SHAPES)
def test_both_spellings_name_what_transformers_has(tmp_path: Path, shape: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    directory = small(tmp_path, shape)
    config = AutoConfig.from_pretrained(directory, local_files_only=True)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    found = read_architecture(directory)
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if found.text.tied:
        del wanted["lm_head.weight"]
    assert expected(found) == wanted
    weights = Weights(directory)
    assert {name: weights.shape(name) for name in weights.canonical_names} == wanted
    assert len(weights.shards) > 1
    assert (found.text.interleaved, found.text.qk_norm) == (shape.startswith("qwen3"),) * 2
    assert found.text.rope_theta == SHAPES[shape].get("text_config", SHAPES[shape])["rope_theta"]


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["qwen2.5-vl-7b", "qwen3-vl-8b"])
def test_transformers_loads_such_a_directory_and_says_something(tmp_path: Path, shape: str) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    directory = small(tmp_path, shape)
    model, report = AutoModelForImageTextToText.from_pretrained(
        directory, local_files_only=True, dtype=torch.float32, output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.inference_mode():
        logits = model(input_ids=torch.arange(10, 22)[None]).logits
    assert 0.5 < float(logits.std()) < 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architectures": ["LlavaForConditionalGeneration"]}, "LlavaForConditionalGeneration, which is not served"),
        ({"architectures": None, "model_type": "gpt2"}, "model_type gpt2"),
        ({"rope_scaling": {"type": "yarn", "mrope_section": [4, 2, 2]}}, "yarn"),
        ({"rope_scaling": {"type": "mrope", "mrope_section": [4, 2, 9]}}, "mrope_section"),
        ({"num_key_value_heads": 3}, "not a multiple of 3"),
        ({"hidden_size": 128, "num_attention_heads": 8}, "visual tokens are 64 wide"),
        ({"num_hidden_layers": "two"}, "layers"),
        ({"use_sliding_window": True}, "sliding-window"),
        ({"vision_config": None}, "not of a qwen2_5_vl checkpoint"),
    ],
)
def test_what_is_not_served_is_said(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    directory = small(tmp_path, "qwen2.5-vl-7b")
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BuildError, match=said) as caught:
        read_architecture(directory)
    assert caught.value.mend


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000])
def test_a_config_that_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(BuildError, match=r"config\.json"):
        read_architecture(tmp_path)


def test_a_config_that_lacks_a_number_is_refused(tmp_path: Path) -> None:
    directory = small(tmp_path, "qwen3-vl-8b")
    path = directory / "config.json"
    config = json.loads(path.read_text())
    del config["vision_config"]["deepstack_visual_indexes"]
    path.write_text(json.dumps(config))
    with pytest.raises(BuildError, match="lacks deepstack_visual_indexes"):
        read_architecture(directory)
