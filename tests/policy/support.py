"""Requests for a small policy, and a caller that collects what comes back."""

from __future__ import annotations

import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builder.candidate import Candidate, FormatName
from builder.formats import open_format
from builder.sources.decoder import Decoder
from pixelis.errors import PixelisError
from pixelis.schema import PolicyEvent, Sampling
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime

GRID = (1, 12, 12)
TOKENS = 36
FORMATS: tuple[FormatName, ...] = ("onnx", "torchscript", "openvino")
"""Those that have an executor."""


def write_artifact(form: FormatName, folder: Path, checkpoint: Path | None = None) -> Path:
    """`folder`, with the policy of `checkpoint` (none = the nano) in fp32 in it; the test is skipped without packages
    of the format."""
    writer = open_format(form)
    absent = [name for name in writer.packages if find_spec(name) is None]
    if absent:
        pytest.skip(f"needs {', '.join(absent)}")
    writer.export(Decoder(checkpoint), folder, Candidate(format=form))
    return folder


def request(
    runtime: PolicyRuntime, seed: int, /, *, text: int | None = None, images: int = 1, **sampling: Any
) -> PolicyRequest:
    """A random prompt with `images` images and `text` text tokens."""
    rng = np.random.default_rng(seed)
    config = runtime.config
    words = np.setdiff1d(np.arange(10, config.vocabulary), [config.image_token, *config.end_ids])
    ids = rng.choice(words, text or int(rng.integers(8, 60)))
    at = int(rng.integers(1, 6))
    pictures = [np.full(TOKENS, config.image_token), [words[0]]] * images
    ids = np.concatenate([ids[:at], *pictures, ids[at:]])
    visual = rng.standard_normal((images * TOKENS, config.visual_width)).astype(np.float32)
    settings = {"request_id": f"r{seed}", "max_tokens": 12, **sampling}
    return PolicyRequest(ids.astype(np.int64), visual, np.tile(np.int32(GRID), images), Sampling(**settings))


class Caller:
    """Takes the events of one request."""

    def __init__(self) -> None:
        self.events: list[PolicyEvent | PixelisError] = []
        self.done = threading.Event()
        self.begun = threading.Event()
        self.ended = 0.0

    def __call__(self, event: PolicyEvent | PixelisError) -> None:
        self.events.append(event)
        self.begun.set()
        if isinstance(event, PixelisError) or event.finish:
            self.ended = time.monotonic()
            self.done.set()

    def wait(self) -> Caller:
        assert self.done.wait(20), "no last event"
        return self

    @property
    def last(self) -> PolicyEvent | PixelisError:
        return self.events[-1]

    @property
    def tokens(self) -> list[int]:
        return [t for event in self.events if isinstance(event, PolicyEvent) for t in event.tokens]

    @property
    def logprobs(self) -> list[float]:
        return [p for event in self.events if isinstance(event, PolicyEvent) for p in event.logprobs]

    @property
    def finish(self) -> str | None:
        assert isinstance(self.last, PolicyEvent), self.last
        return self.last.finish


def ask(runtime: PolicyRuntime, asked: PolicyRequest) -> Caller:
    """Submit, and return at once."""
    caller = Caller()
    runtime.submit(asked, caller)
    return caller
