"""The kinds of tokenizer that the grammar of calls works over, without weights."""

from __future__ import annotations

from pathlib import Path

from perf.large_vocabulary import QWEN_CONTROL, QWEN_VISIBLE, WIDER, write_config, write_large
from tests.pipeline.scripted import write_voice


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
    return write_config(directory, tokenizer.get_vocab_size() + WIDER, ids)


def large(directory: Path) -> Path:
    """A byte-level BPE of the size of Qwen's, without merges: what it encodes is bytes."""
    return write_large(directory)
