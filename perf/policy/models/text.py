"""The checkpoint's language model alone, as a Qwen2: what engines for text take.

Qwen2.5-VL's language model is a Qwen2 whose rotary positions are three numbers a token, equal for text (M-RoPE, arXiv
2409.12191, section 2.1). So for prompts without images both give the same logits; it is checked here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from builder.sources.checkpoint import load_model
from pixelis.errors import BuildError

_KEPT = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "hidden_act", "max_position_embeddings", "rms_norm_eps",
)  # fmt: skip
PAD, END = 1, 3
"""Of no meaning here: end tokens are ignored, and padding is masked."""
_LARGEST_ERROR = 1e-3


def write_text_model(checkpoint: Path, directory: Path) -> None:
    """Write a `Qwen2ForCausalLM` with the checkpoint's weights into `directory`.

    Raises:
        BuildError: it does not give the checkpoint's logits.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    whole = load_model(checkpoint)
    text = whole.config.text_config
    config = Qwen2Config(
        **{name: getattr(text, name) for name in _KEPT},
        rope_parameters={"rope_theta": text.rope_parameters["rope_theta"], "rope_type": "default"},
        tie_word_embeddings=whole.config.tie_word_embeddings,
        bos_token_id=PAD,
        eos_token_id=END,
        pad_token_id=PAD,
        use_sliding_window=False,
    )
    alone = Qwen2ForCausalLM(config).eval()
    weights = whole.state_dict().items()
    alone.load_state_dict(
        {name.replace("model.language_model.", "model."): w for name, w in weights if "visual" not in name}
    )
    ids = torch.arange(64)[None] % text.vocab_size
    ids[ids == whole.config.image_token_id] = 0
    with torch.inference_mode():
        error = float((alone(ids).logits - whole(ids).logits).abs().max())
    if error > _LARGEST_ERROR:
        raise BuildError(f"The language model of {checkpoint.name} is no Qwen2: logits differ by {error:.2g}.")
    alone.save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, directory / name)
