"""The nano's files as a policy for vLLM, and a carrier that answers what a test tells it to."""

from __future__ import annotations

import json
import queue
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from builder.sources.checkpoint import NANO
from pixelis.errors import DeadlineExceeded, PixelisError
from pixelis.schema import PolicyEvent, Sampling
from python_backends.policy import conversation
from python_backends.policy.profile import Profile
from python_backends.policy.request import PolicyRequest
from python_backends.policy.tokenizer import PolicyTokenizer
from python_backends.policy.vllm.carrier import Asked
from python_backends.policy.vllm.engine import FILE, MODEL, EngineArgs, EngineFile
from python_backends.policy.vllm.pixels import to_tokens
from python_backends.rows import Tensors, text

GRID = (1, 12, 12)
TOKENS = 36
END = 3
"""`<|im_end|>`."""


def artifact(folder: Path, **changed: Any) -> Path:
    """`folder`, with what `pixelis build --policy-runtime vllm` puts beside the policy."""
    for name in ("config.json", "tokenizer.json", "generation_config.json", "pixelis.json"):
        shutil.copyfile(NANO / name, folder / name)
    arguments = {"model": str(NANO), "served_model_name": MODEL, "max_model_len": 512}
    arguments |= {"limit_mm_per_prompt": {"image": 3, "video": 0}, **changed}
    engine = EngineFile(arguments=EngineArgs.model_validate(arguments), patch=14, checkpoint=str(NANO))
    (folder / FILE).write_text(engine.model_dump_json(), encoding="utf-8")
    return folder


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Noise of the nano's view's size `[count, 168, 168, 3]`."""
    return np.random.default_rng(seed).integers(0, 256, (count, 168, 168, 3), dtype=np.uint8)


def request(images: int = 1, question: str = "What colour is the star?", **sampling: Any) -> PolicyRequest:
    """A first turn."""
    tokenizer, profile = PolicyTokenizer(NANO), Profile.load(NANO)
    ids = tokenizer.encode(conversation.opening(profile, question, images), [TOKENS] * images)
    visual = to_tokens(pictures(images), 28).reshape(-1, 28 * 28 * 3) if images else None
    grids = np.array([GRID] * images, np.int32).reshape(-1)
    return PolicyRequest(ids, visual, grids, Sampling(**{"request_id": "one", **sampling}))


def words(written: str) -> list[int]:
    """Tokens of a text."""
    return [int(token) for token in PolicyTokenizer(NANO).encode(written)]


def message(tokens: Sequence[int], finish: str | None = None, logprob: float = -0.25) -> Tensors:
    """As Triton's vLLM backend sends it."""
    said = [{str(token): {"logprob": logprob, "rank": 1, "decoded_token": "?"}} for token in tokens]
    return {"text_output": text("?"), "finish_reason": text(str(finish)), "logprobs": text(json.dumps(said))}


class Script:
    """A carrier and its one running request: gives the messages that it was given, then waits."""

    def __init__(self, *messages: Tensors | PixelisError) -> None:
        self._items: queue.SimpleQueue[Tensors | PixelisError] = queue.SimpleQueue()
        for one in messages:
            self._items.put(one)
        self.asked: list[Asked] = []
        self.closed = 0
        self.ended = False
        self._deadline = 0.0

    def put(self, one: Tensors) -> None:
        self._items.put(one)

    def begin(self, asked: Asked, deadline: float) -> Script:
        self.asked.append(asked)
        self._deadline = deadline
        return self

    def end(self) -> None:
        self.ended = True

    def __iter__(self) -> Iterator[Tensors]:
        while True:
            try:
                item = self._items.get(timeout=min(0.25, max(0.0, self._deadline - time.time())))
            except queue.Empty:
                if time.time() >= self._deadline:
                    raise DeadlineExceeded("too late") from None
                item = {}
            if isinstance(item, PixelisError):
                raise item
            yield item

    def wake(self) -> None:
        self._items.put({})

    def close(self) -> None:
        self.closed += 1


class Heard:
    """Collects a turn's events."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[PolicyEvent | PixelisError] = queue.SimpleQueue()

    def __call__(self, event: PolicyEvent | PixelisError) -> None:
        self._events.put(event)

    def next(self) -> PolicyEvent | PixelisError:
        return self._events.get(timeout=5)

    def all(self) -> list[PolicyEvent]:
        """Up to the last one; an error is raised."""
        found: list[PolicyEvent] = []
        while not found or found[-1].finish is None:
            event = self.next()
            if isinstance(event, PixelisError):
                raise event
            found.append(event)
        return found
