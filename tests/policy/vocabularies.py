"""The two kinds of tokenizer that the grammar of calls works over, without weights."""

from __future__ import annotations

import json
from pathlib import Path

from tests.pipeline.scripted import write_voice

QWEN_CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
QWEN_VISIBLE = ("<tool_call>", "</tool_call>")
WIDER = 40
"""Logits beyond the tokenizer's ids, as in Qwen's checkpoints."""


def nano(directory: Path) -> Path:
    """Words, fragments of calls, coordinate bins and single characters."""
    return write_voice(directory)


def byte_level(directory: Path) -> Path:
    """A small byte-level BPE with Qwen's added tokens, whose merges go across the borders of a call's parts."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    lines = [
        f'<tool_call>\n{{"name": "{name}", "arguments": {{"{key}": [{i}, {2 * i}, {3 * i}]}}}}\n</tool_call> thë {i}'
        for i in range(40)
        for name, key in (("ZOOM_IN", "region"), ("crop_image", "bbox_2d"), ("SEGMENT_OBJECT_AT", "point"))
    ]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, max_token_length=12, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in QWEN_CONTROL])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in QWEN_VISIBLE])
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "vocab_size": tokenizer.get_vocab_size() + WIDER,
        "num_attention_heads": 6,
        "hidden_size": 192,
        "num_hidden_layers": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "image_token_id": tokenizer.token_to_id("<|image_pad|>"),
        "vision_config": {"spatial_merge_size": 2, "patch_size": 14},
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
    }
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "pixelis.json").write_text("{}")
    return directory
