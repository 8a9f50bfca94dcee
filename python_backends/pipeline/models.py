"""What the steps ask of the other models, wherever those run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import (
    Ballot,
    KnnCommand,
    KnnResult,
    Operation,
    OperationResult,
    PolicyEvent,
    Reward,
    RewardRequest,
    Sampling,
    Verdict,
)

Floats = NDArray[np.float32]
Views = NDArray[np.uint8]
"""`[n, height, width, 3]`, RGB."""

NAMES = (
    "embed_image",
    "embed_text",
    "visual_ops",
    "ocr_detect",
    "ocr_recognize",
    "segment_encode",
    "segment_decode",
    "knn",
    "dynamics",
    "reward",
    "vote",
    "prepare",
    "recall",
    "reason",
    "finish",
)
"""Models whose version a result names, where the repository holds them, beside the checkpoint's two."""


class Models(Protocol):
    """The sibling models. Every `deadline` is in seconds since the epoch.

    Each method raises `DeadlineExceeded` when the deadline passes, `Unavailable` when the model is not up,
    and the model's own typed error when it answered with one.
    """

    def embed_image(self, views: Views, deadline: float) -> Floats:
        """Views `[n, 224, 224, 3]` -> `[n, 1280]`."""

    def embed_text(self, texts: Sequence[str], deadline: float) -> Floats:
        """Texts -> `[n, 384]`, L2-normalised."""

    def vision_tokens(self, views: Views, deadline: float) -> Floats:
        """The policy's views -> `[n, tokens, hidden]`."""

    def generate(
        self, prompt_ids: NDArray[np.int64], visual: Floats, grids: NDArray[np.int32], sampling: Sampling
    ) -> Iterator[PolicyEvent]:
        """One turn of the policy, by `sampling.deadline`.

        An event without tokens that is not the last one says that the turn still goes on: a moment to look around.

        Args:
            prompt_ids: `[length]`, the image token repeated once a visual token.
            visual: `[n, hidden]`, the visual tokens of all images in order.
            grids: `[images * 3]`, (t, h, w) in patches of each image.
            sampling: `request_id` is unique to this turn.
        """

    def cancel(self, request_id: str) -> None:
        """Ask the policy to stop a turn; a turn that has ended, or never began, is no error."""

    def operate(self, images: Sequence[bytes], operation: Operation, deadline: float) -> OperationResult:
        """A visual operation on encoded images; bad arguments are `error` in the result."""

    def search(self, key: Floats, k: int, count: bool, deadline: float, tenant: str) -> KnnResult:
        """The `k` nearest of the experiences that a tenant finds, of a key `[1664]`; with `count`, being found counts
        as being retrieved."""

    def remember(self, asked: KnnCommand, key: Floats, deadline: float) -> str | None:
        """Note what a request was asked and answered (a command `asked`); the id of what was learned, if anything."""

    def feedback(self, experience_id: str, answer: str, deadline: float, tenant: str) -> None:
        """Hold the answer of a tenant's own retrieved experience against the right one, and count a success."""

    def reward(self, request: RewardRequest, deadline: float) -> Reward:
        """The reward of a trajectory."""

    def vote(self, ballot: Ballot, deadline: float) -> Verdict:
        """The verdict over agent and neighbours."""

    def versions(self) -> dict[str, str]:
        """Model -> version in use."""
