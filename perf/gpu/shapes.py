"""Qwen2.5-VL in its real shapes, as transformers' configurations."""

from __future__ import annotations

from typing import Any

from transformers import Qwen2_5_VLConfig

from pixelis.errors import InvalidRequest

_TEXT: dict[str, dict[str, int]] = {
    "3b": {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
           "num_key_value_heads": 2, "vocab_size": 151936},
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
           "num_key_value_heads": 4, "vocab_size": 152064},
    "tiny": {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 1, "vocab_size": 1024},
}  # fmt: skip
_TOWER = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "window_size": 112}
_TINY_TOWER = {**_TOWER, "depth": 2, "hidden_size": 128, "intermediate_size": 256, "num_heads": 4}
_ROPE = {"rope_type": "default", "type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}
SHAPES = tuple(_TEXT)
"""`tiny` is no real one: it shows that all of it runs."""


def read_shape(name: str) -> Qwen2_5_VLConfig:
    """The configuration of a shape.

    Raises:
        InvalidRequest: there is none of that name.
    """
    if name not in _TEXT:
        raise InvalidRequest(f"There is no shape {name}.", mend=f"There are {', '.join(SHAPES)}.")
    text: dict[str, Any] = {**_TEXT[name], "rope_theta": 1e6, "rope_parameters": _ROPE, "rope_scaling": _ROPE}
    text |= {"max_position_embeddings": 128000, "rms_norm_eps": 1e-6, "use_sliding_window": False}
    tower = {**(_TINY_TOWER if name == "tiny" else _TOWER), "out_hidden_size": text["hidden_size"]}
    tower["fullatt_block_indexes"] = [1] if name == "tiny" else [7, 15, 23, 31]
    return Qwen2_5_VLConfig(text_config=text, vision_config=tower)
