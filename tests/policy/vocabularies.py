"""The kinds of tokenizer that the grammar of calls works over, without weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice, product
from pathlib import Path

from python_backends.policy.calls.vocabulary import _bytes
from tests.pipeline.scripted import write_voice

QWEN_CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
QWEN_VISIBLE = ("<tool_call>", "</tool_call>")
WIDER = 40
"""Logits beyond the tokenizer's ids, as in Qwen's checkpoints."""
LARGE = 151_000


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
    ids = {text: tokenizer.token_to_id(text) for text in QWEN_CONTROL}
    return _config(directory, tokenizer.get_vocab_size() + WIDER, ids)


def large(directory: Path) -> Path:
    """A byte-level vocabulary of the size of Qwen's, 151 000 tokens: syllables, code, runs of blanks, Han, cut ones.

    It has no merges, so what it encodes is bytes; the grammar asks only what tokens say.
    """
    han = [chr(0x4E00 + i).encode() for i in range(6000)]
    texts = chain((text.encode() for text in _texts()), *((whole, whole[:2], whole[1:]) for whole in han))
    texts = chain((bytes([byte]) for byte in range(256)), texts, (f" {word}".encode() for word in _words(3)))
    characters = {byte: character for character, byte in _bytes().items()}
    spelt = ("".join(characters[byte] for byte in text) for text in texts)
    vocabulary = {text: i for i, text in enumerate(islice(dict.fromkeys(islice(spelt, 2 * LARGE)), LARGE))}
    added = [
        {"id": LARGE + i, "content": text, "special": text in QWEN_CONTROL, "normalized": False}
        | {"single_word": False, "lstrip": False, "rstrip": False}
        for i, text in enumerate((*QWEN_CONTROL, *QWEN_VISIBLE))
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    made = {"version": "1.0", "added_tokens": added, "pre_tokenizer": level, "decoder": level}
    made["model"] = {"type": "BPE", "vocab": vocabulary, "merges": []}
    (directory / "tokenizer.json").write_text(json.dumps(made))
    return _config(directory, LARGE + len(added) + WIDER, {entry["content"]: entry["id"] for entry in added})


def _texts() -> Iterator[str]:
    """What calls are made of, and what else there is in a vocabulary."""
    yield from (
        '{"',
        '":',
        '": ',
        '", "',
        '":"',
        '"}}',
        "]}",
        "]}}",
        "]}}\n",
        "},",
        "</",
        "<",
        "_",
        '\\"',
        "\\n",
        "\\u",
    )
    yield from ("name", "arguments", "region", "target", "_image", "ZO", "OM", "_IN", "bbox", "point", "true", "false")
    yield from (" " * n for n in range(2, 60))
    for word in chain(_words(1), _words(2)):
        yield from (word, f" {word}", word.capitalize(), f'{word}"', f"_{word}", f"{word}<")


def _words(syllables: int) -> Iterator[str]:
    made = ("".join(pair) for pair in product("bcdfghjklmnprstvwz", ("a", "e", "i", "o", "u", "an", "er", "os")))
    return map("".join, product(list(made), repeat=syllables))


def _config(directory: Path, size: int, ids: dict[str, int]) -> Path:
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
