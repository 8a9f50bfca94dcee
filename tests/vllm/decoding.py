"""A checkpoint decoded by transformers, with its own image processor: what stands for vLLM's engine in tests.

The whole prompt is read again for every token, so that there is nothing between the weights and the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer, StructTag, TokenizerWrapper
from llguidance.gbnf_to_lark import any_to_lark
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers import PreTrainedTokenizerFast as Fast

from python_backends.policy.calls.engine import _Spelt
from python_backends.policy.calls.vocabulary import Vocabulary

PAD = "<|image_pad|>"


@dataclass(kw_only=True)
class Parameters:
    """vLLM's `SamplingParams`, as far as the policy speaks of them; another word is an error, as it is there."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int = 16
    stop: list[str] = field(default_factory=list)
    stop_token_ids: list[int] = field(default_factory=list)
    ignore_eos: bool = False
    logprobs: int | None = None
    seed: int | None = None
    structured_outputs: str | None = None


@dataclass(frozen=True)
class Token:
    """One more token: its log-probability, the text so far without stop texts, and why it is the last, if it is."""

    token: int
    logprob: float
    text: str
    finish: str | None


class Engine:
    """One checkpoint, read from the directory that model.json names."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments
        directory = Path(arguments["model"])
        torch.set_num_threads(1)
        self._model = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32).eval()
        self._images = AutoImageProcessor.from_pretrained(directory, **arguments["mm_processor_kwargs"])
        self._tokenizer = Fast.from_pretrained(directory)
        self._vocabulary = Vocabulary.load(directory, self._model.config.text_config.vocab_size)
        self._spelt = _Spelt(self._vocabulary, self._tokenizer.eos_token_id)

    def generate(self, prompt: str, images: list[Image.Image], asked: Parameters) -> Iterator[Token]:
        """Tokens, until one ends it."""
        if len(images) > self.arguments["limit_mm_per_prompt"]["image"]:
            raise ValueError("At most so many image(s) may be provided in one prompt.")
        ids, seen = self._read(prompt, images)
        if len(ids) >= self.arguments["max_model_len"]:
            raise ValueError(f"The decoder prompt (length {len(ids)}) is longer than the maximum model length.")
        guide, draw = self._guide(asked.structured_outputs), _drawing(asked)
        written: list[int] = []
        while True:
            with torch.inference_mode():
                logits = self._logits([*ids, *written], seen)
            if guide is not None:
                logits = logits.masked_fill(~guide.mask(len(logits)), -torch.inf)
            # Of the logits behind the grammar's mask and before everything else, as in vLLM's V1.
            logprobs = torch.log_softmax(logits, -1)
            token = draw(torch.tensor([[*ids, *written]]), logits)
            if guide is not None:
                guide.take(token)
            written.append(token)
            text, finish = self._ended(written, asked)
            yield Token(token, float(logprobs[token]), text, finish)
            if finish is not None:
                return

    def _read(self, prompt: str, images: list[Image.Image]) -> tuple[list[int], dict[str, Any]]:
        """Ids with a picture's mark once for each of its visual tokens, and the pictures as the tower takes them."""
        parts = prompt.split(PAD)
        if len(parts) - 1 != len(images):
            raise ValueError(f"The prompt has {len(parts) - 1} image placeholders and {len(images)} images came.")
        if not images:
            return self._tokenizer(prompt).input_ids, {}
        made = self._images(images=images, return_tensors="pt")
        counts = made["image_grid_thw"].prod(-1) // self._images.merge_size**2
        whole = parts[0] + "".join(PAD * int(n) + part for n, part in zip(counts, parts[1:], strict=True))
        return self._tokenizer(whole).input_ids, dict(made)

    def _logits(self, ids: list[int], seen: dict[str, Any]) -> torch.Tensor:
        tokens = torch.tensor([ids])
        kinds = (tokens == self._model.config.image_token_id).to(torch.int64)
        extra = {**seen, "mm_token_type_ids": kinds} if seen else {}
        made: torch.Tensor = self._model(input_ids=tokens, use_cache=False, logits_to_keep=1, **extra).logits[0, -1]
        return made

    def _ended(self, written: list[int], asked: Parameters) -> tuple[str, str | None]:
        text = self._tokenizer.decode(written, skip_special_tokens=True)
        ends = {*asked.stop_token_ids, *([] if asked.ignore_eos else [self._tokenizer.eos_token_id])}
        if written[-1] in ends:
            return text, "stop"
        found = [text.find(stop) for stop in asked.stop if stop in text]
        if found:
            return text[: min(found)], "stop"
        return text, "length" if len(written) >= asked.max_tokens else None

    def _guide(self, structured: str | None) -> Guide | None:
        if structured is None:
            return None
        tag = json.loads(json.loads(structured)["structural_tag"])
        tokenizer = LLTokenizer(TokenizerWrapper(self._spelt), n_vocab=len(self._vocabulary.tokens))
        return Guide(tokenizer, lark_of(tag))


def lark_of(tag: dict[str, Any]) -> str:
    """A structural tag in llguidance's own words: what triggered tags with `stop_after_first` mean."""
    form = tag["format"]
    assert (tag["type"], form["type"], form["stop_after_first"]) == ("structural_tag", "triggered_tags", True)
    ((trigger,), (held,)) = form["triggers"], form["tags"]
    assert held["content"]["type"] == "grammar"
    calls = any_to_lark(held["content"]["grammar"])
    one = StructTag(trigger=trigger, begin=held["begin"], grammar=calls, end=held["end"])
    grammars = json.loads(StructTag.to_grammar([one], assume_special=False))
    first = grammars["grammars"][0]
    assert "start: (tag_0)* tag_end" in first["lark_grammar"]
    first["lark_grammar"] = first["lark_grammar"].replace("start: (tag_0)* tag_end", "start: tag_0 | tag_end")
    for part in grammars["grammars"]:  # every way to spell what must come is allowed, as in xgrammar
        assert "%llguidance {}" in part["lark_grammar"]
        part["lark_grammar"] = part["lark_grammar"].replace("%llguidance {}", '%llguidance {"no_forcing": true}')
    return json.dumps(grammars)


class Guide:
    """Where a grammar stands."""

    def __init__(self, tokenizer: LLTokenizer, grammar: str) -> None:
        self._matcher = LLMatcher(tokenizer, grammar, log_level=0)
        assert not self._matcher.is_error(), self._matcher.get_error()

    def mask(self, size: int) -> torch.Tensor:
        """Tokens that may come `[size]`."""
        words = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        bits = (words[:, None] >> torch.arange(8)) & 1
        return bits.reshape(-1)[:size].to(torch.bool)

    def take(self, token: int) -> None:
        """Go past a token."""
        if not self._matcher.is_stopped():
            assert self._matcher.consume_token(token), self._matcher.get_error()


def _drawing(asked: Parameters) -> Callable[[torch.Tensor, torch.Tensor], int]:
    penalty = [RepetitionPenaltyLogitsProcessor(asked.repetition_penalty)] if asked.repetition_penalty != 1 else []
    narrowing = [
        *([TemperatureLogitsWarper(asked.temperature)] if asked.temperature else []),
        *([TopKLogitsWarper(asked.top_k)] if asked.top_k else []),
        *([TopPLogitsWarper(asked.top_p)] if asked.top_p < 1 else []),
        *([MinPLogitsWarper(asked.min_p)] if asked.min_p else []),
    ]
    chance = torch.Generator()
    chance.manual_seed(asked.seed) if asked.seed is not None else chance.seed()
    processors = LogitsProcessorList([*penalty, *narrowing])

    def draw(ids: torch.Tensor, logits: torch.Tensor) -> int:
        scores = processors(ids, logits[None].clone())
        if not asked.temperature:
            return int(scores[0].argmax())
        return int(torch.multinomial(torch.softmax(scores[0], -1), 1, generator=chance))

    return draw
