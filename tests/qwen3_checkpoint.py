"""A small random Qwen3-VL: interleaved M-RoPE, q and k norms, deepstack, a table of positions that is interpolated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from builder.sources.checkpoint import NANO
from builder.sources.random_checkpoint import spread

TEXT: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [6, 5, 5],
        "mrope_interleaved": True,
    },
}
VISION: dict[str, Any] = {
    "depth": 4,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_heads": 3,
    "out_hidden_size": 64,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0, 1, 2],
}


def write_qwen3_checkpoint(directory: Path, *, tied: bool = True, seed: int = 5, **text: Any) -> Path:
    """A Hugging Face directory with the nano's tokenizer and view.

    Args:
        directory: where it goes.
        tied: logits are made with the embedding table.
        seed: of the weights.
        text: what differs from `TEXT`.
    """
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    nano = json.loads((NANO / "config.json").read_text())
    tokens = {name: nano[name] for name in nano if name.endswith("_token_id")}
    ends = {name: nano["text_config"][name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = Qwen3VLConfig(
        text_config={**TEXT, **ends, "tie_word_embeddings": tied, **text},
        vision_config=VISION,
        tie_word_embeddings=tied,
        **tokens,
    )
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(config)
    generator = torch.Generator().manual_seed(seed)
    spread(model, generator)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("q_norm.weight", "k_norm.weight")):
                weight.normal_(1, 0.3, generator=generator)
    model.to(torch.bfloat16).save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "pixelis.json"):
        if (NANO / name).is_file():
            shutil.copyfile(NANO / name, directory / name)
    return directory
