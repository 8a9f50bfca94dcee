"""The calls of the neural models, the same whether they cross Triton or stay in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import ServingError
from python_backends.checkpoints import ENCODER
from python_backends.pipeline.models import Floats, Views
from python_backends.pipeline.words import TextTokens

Call = Callable[[str, dict[str, NDArray[np.generic]], str, float], Floats]
"""(model, batched inputs, output, deadline) -> that output, batched."""


class Neural:
    """Encoders and dynamics, at most `most` rows a call.

    Args:
        call: runs one batch.
        tokens: `embed_text`'s tokenizer.
        most: the models' `max_batch_size`.
        encoder: the checkpoint's vision encoder.
    """

    def __init__(self, call: Call, tokens: TextTokens, most: int, encoder: str = ENCODER) -> None:
        self._call = call
        self._tokens = tokens
        self._most = most
        self._encoder = encoder

    def embed_image(self, views: Views, deadline: float) -> Floats:
        """Views `[n, 224, 224, 3]` -> `[n, 1280]`."""
        return self._chunks("embed_image", "IMAGE", views, "EMBEDDING", deadline)

    def vision_tokens(self, views: Views, deadline: float) -> Floats:
        """The policy's views -> `[n, tokens, hidden]`."""
        return self._chunks(self._encoder, "VIEW", views, "TOKENS", deadline)

    def embed_text(self, texts: Sequence[str], deadline: float) -> Floats:
        """Texts -> `[n, 384]`."""
        found: dict[int, Floats] = {}
        for members, inputs in self._tokens.batches(texts, self._most):
            rows = self._call("embed_text", dict(inputs), "EMBEDDING", deadline)
            _same(rows, len(members), "embed_text")
            found.update(zip(members, rows, strict=True))
        return np.stack([found[i] for i in range(len(texts))])

    def _chunks(self, model: str, name: str, views: Views, output: str, deadline: float) -> Floats:
        parts = []
        for start in range(0, len(views), self._most):
            part = np.ascontiguousarray(views[start : start + self._most])
            rows = self._call(model, {name: part}, output, deadline)
            _same(rows, len(part), model)
            parts.append(rows)
        return np.concatenate(parts)


def predict(call: Call, states: Floats, actions: Floats, most: int, deadline: float) -> Floats:
    """`dynamics`: states `[n, D]` and actions `[n, 16]` -> next states `[n, D]`."""
    parts = []
    for start in range(0, len(states), most):
        rows = slice(start, start + most)
        inputs: dict[str, NDArray[np.generic]] = {
            "STATE": np.ascontiguousarray(states[rows], np.float32),
            "ACTION": np.ascontiguousarray(actions[rows], np.float32),
        }
        parts.append(call("dynamics", inputs, "NEXT_STATE", deadline))
    return np.concatenate(parts)


def _same(rows: Floats, wanted: int, model: str) -> None:
    if len(rows) != wanted:
        raise ServingError(f"Model `{model}` answered {len(rows)} rows for {wanted}.")
