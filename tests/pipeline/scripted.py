"""Sibling models for the steps' own logic: the policy says what a test wrote down; everything that is cheap is real.

Their real twins are the served models of `tests/triton/test_pipeline.py`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import PixelisError
from pixelis.schema import (
    Ballot,
    Experience,
    KnnCommand,
    KnnResult,
    Neighbour,
    Operation,
    OperationResult,
    PolicyEvent,
    Reward,
    RewardRequest,
    Sampling,
    Verdict,
)
from pixelis.settings import Retrieval
from python_backends.images import DecodedImages
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.models import Floats, Views
from python_backends.reward.total import compute
from python_backends.visual_ops.operate import operate
from python_backends.voting.vote import vote


class NoText:
    """OCR of a world without letters."""

    @property
    def characters(self) -> list[str]:
        return [""]

    def detect(self, image: NDArray[np.uint8]) -> Floats:
        return np.zeros(image.shape[:2], np.float32)

    def recognize(self, lines: NDArray[np.uint8], widths: NDArray[np.int32]) -> tuple[NDArray[np.int32], Floats]:
        return np.zeros((len(lines), 1), np.int32), np.ones((len(lines), 1), np.float32)


def plain_features(views: NDArray[np.uint8]) -> Floats:
    """Colours in place of the image encoder's features."""
    return views.reshape(len(views), 14, 16, 14, 16, 3).mean((2, 4)).astype(np.float32)


class ScriptedModels:
    """See `models.Models`.

    Args:
        voice: the checkpoint's.
        turns: what the policy writes, turn by turn; the last one is repeated.
        logprob: of every token.
    """

    def __init__(self, voice: Voice, turns: Sequence[str], logprob: float = -0.1) -> None:
        self.voice, self.turns, self.logprob = voice, list(turns), logprob
        self.down: dict[str, PixelisError] = {}
        self.neighbours: list[Neighbour] = []
        self.reason: str | None = None
        self.prompts: list[list[int]] = []
        self.visual: list[int] = []
        self.grids: list[list[int]] = []
        self.inserted: list[Experience] = []
        self.asked: list[KnnCommand] = []
        self.fed_back: list[str] = []
        self.cancelled: list[str] = []
        self.asked_sampling: list[Sampling] = []
        self.counted: list[bool] = []
        self.tenants: list[str] = []
        self.pause = 0.0
        self.finish: Literal["stop", "length", "deadline"] = "stop"
        self._decoded = DecodedImages()

    def _up(self, model: str) -> None:
        if model in self.down:
            raise self.down[model]

    def embed_image(self, views: Views, deadline: float) -> Floats:
        self._up("embed_image")
        assert views.shape[1:] == (224, 224, 3)
        small = views[:, ::56, ::56].reshape(len(views), -1).astype(np.float32) + 1
        return np.tile(small, (1, 1 + 1280 // small.shape[1]))[:, :1280]

    def embed_text(self, texts: Sequence[str], deadline: float) -> Floats:
        self._up("embed_text")
        return np.stack([np.resize(np.frombuffer(t.encode() or b" ", np.uint8), 384) for t in texts]).astype(np.float32)

    def vision_tokens(self, views: Views, deadline: float) -> Floats:
        self._up("vision_encoder")
        assert views.shape[1:] == (168, 168, 3)
        return (
            np.repeat(views.mean((1, 2, 3), keepdims=True)[..., 0], 36 * 8, axis=1)
            .reshape(-1, 36, 8)
            .astype(np.float32)
        )

    def generate(
        self, prompt_ids: NDArray[np.int64], visual: Floats, grids: NDArray[np.int32], sampling: Sampling
    ) -> Iterator[PolicyEvent]:
        self._up("policy")
        turn = self.turns[min(len(self.prompts), len(self.turns) - 1)]
        self.prompts.append(prompt_ids.tolist())
        self.asked_sampling.append(sampling)
        self.visual.append(len(visual))
        self.grids.append(grids.tolist())
        ids = self.voice.tokenizer.encode(turn).tolist()
        if self.finish == "stop":
            ids.append(min(self.voice.tokenizer.end_ids))
        ids = ids[: sampling.max_tokens]
        if not sampling.stream:
            yield PolicyEvent(tokens=ids, logprobs=[self.logprob] * len(ids), finish=self.finish)
            return
        for i, token in enumerate(ids):
            time.sleep(self.pause)
            finish = self.finish if i == len(ids) - 1 else None
            yield PolicyEvent(tokens=[token], logprobs=[self.logprob], finish=finish)

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)

    def operate(self, images: Sequence[bytes], operation: Operation, deadline: float) -> OperationResult:
        self._up("visual_ops")
        return operate([self._decoded.get(image) for image in images], operation, NoText(), plain_features)

    def search(self, key: Floats, k: int, count: bool, deadline: float, tenant: str) -> KnnResult:
        self._up("knn")
        self.counted.append(count)
        self.tenants.append(tenant)
        return KnnResult(neighbours=self.neighbours[:k], reason=self.reason)

    def remember(self, asked: KnnCommand, key: Floats, deadline: float) -> str | None:
        self._up("insert")
        self.asked.append(asked)
        if not asked.learn:
            return None
        assert asked.experience is not None
        self.inserted.append(asked.experience)
        return asked.request_id

    def feedback(self, experience_id: str, answer: str, deadline: float, tenant: str) -> None:
        self._up("feedback")
        self.fed_back.append(experience_id)
        self.tenants.append(tenant)

    def reward(self, request: RewardRequest, deadline: float) -> Reward:
        self._up("reward")
        return compute(request, lambda states, actions: states)

    def vote(self, ballot: Ballot, deadline: float) -> Verdict:
        self._up("vote")
        return vote(ballot, Retrieval())

    def versions(self) -> dict[str, str]:
        return {"policy": "1"}


def write_voice(directory: Path) -> Path:
    """Tokenizer, config and profile of the nano, without weights."""
    from builder.nano.tokenizer import build

    tokenizer = build()
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "vocab_size": tokenizer.get_vocab_size(),
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
    fields = {"ZOOM_IN": {}, "READ_TEXT": {"text": "text"}, "GET_PROPERTIES": {"color": "color.name"}}
    (directory / "pixelis.json").write_text(json.dumps({"view": [168, 168], "observation_fields": fields}))
    return directory


def call(name: str, **arguments: object) -> str:
    """A tool call as the nano writes it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


SURE = math.exp(-0.1)
"""Confidence where every token has the script's log-probability."""
