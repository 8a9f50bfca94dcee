"""A vocabulary of the size of Qwen's, without Qwen: for what depends on how many tokens there are, not on a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain, islice, product
from pathlib import Path

from python_backends.policy.calls.vocabulary import byte_characters

QWEN_CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
QWEN_VISIBLE = ("<tool_call>", "</tool_call>")
WIDER = 40
"""Logits beyond the tokenizer's ids, as in Qwen's checkpoints."""
LARGE = 151_000


def write_large(directory: Path) -> Path:
    """A byte-level vocabulary of the size of Qwen's, 151 000 tokens: syllables, code, runs of blanks, Han, cut ones.

    It has no merges, so what it encodes is bytes; the grammar asks only what tokens say.
    """
    han = [chr(0x4E00 + i).encode() for i in range(6000)]
    texts = chain((text.encode() for text in _texts()), *((whole, whole[:2], whole[1:]) for whole in han))
    texts = chain((bytes([byte]) for byte in range(256)), texts, (f" {word}".encode() for word in _words(3)))
    characters = {byte: character for character, byte in byte_characters().items()}
    spelt = ("".join(characters[byte] for byte in text) for text in texts)
    vocabulary = {text: i for i, text in enumerate(islice(dict.fromkeys(islice(spelt, 2 * LARGE)), LARGE))}
    ids = {text: LARGE + i for i, text in enumerate((*QWEN_CONTROL, *QWEN_VISIBLE))}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [{"id": i, "content": text, "special": text in QWEN_CONTROL, **plain} for text, i in ids.items()]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    made = {"version": "1.0", "added_tokens": added, "pre_tokenizer": level, "decoder": level}
    made["model"] = {"type": "BPE", "vocab": vocabulary, "merges": []}
    (directory / "tokenizer.json").write_text(json.dumps(made))
    return write_config(directory, LARGE + len(added) + WIDER, ids)


def _texts() -> Iterator[str]:
    """What calls are made of, and what else there is in a vocabulary."""
    yield from r'{" ": "," ":" "}} ]} ]}} }, </ < _ \" \n \u'.split()
    yield from ('": ', '", "', "]}}\n")
    yield from ("name", "arguments", "region", "target", "_image", "ZO", "OM", "_IN", "bbox", "point", "true", "false")
    yield from (" " * n for n in range(2, 60))
    for word in chain(_words(1), _words(2)):
        yield from (word, f" {word}", word.capitalize(), f'{word}"', f"_{word}", f"{word}<")


def _words(syllables: int) -> Iterator[str]:
    made = ("".join(pair) for pair in product("bcdfghjklmnprstvwz", ("a", "e", "i", "o", "u", "an", "er", "os")))
    return map("".join, product(list(made), repeat=syllables))


def write_config(directory: Path, size: int, ids: Mapping[str, int]) -> Path:
    """The other files of a checkpoint that talking needs.

    Args:
        directory: of `tokenizer.json`.
        size: width of the logits.
        ids: of Qwen's control tokens.
    """
    config = {
        "vocab_size": size,
        "num_attention_heads": 6,
        "hidden_size": 192,
        "num_hidden_layers": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "image_token_id": ids["<|image_pad|>"],
        "vision_config": {"spatial_merge_size": 2, "patch_size": 14},
        "eos_token_id": ids["<|im_end|>"],
    }
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "pixelis.json").write_text("{}")
    return directory
