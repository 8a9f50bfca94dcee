"""What carries a turn to vLLM and its tokens back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from python_backends.policy.vllm.engine import MODEL
from python_backends.rows import Tensors, text

__all__ = ["MODEL", "Asked", "Carrier", "Running"]


@dataclass(frozen=True)
class Asked:
    """One request of vLLM's backend.

    Attributes:
        prompt: text.
        pictures: PNG in base64.
        parameters: JSON.
    """

    prompt: str
    pictures: list[bytes]
    parameters: str

    def tensors(self, stream: bool) -> Tensors:
        """Its inputs; with `stream` there is a message a token, else one."""
        yes = np.array([True])
        optional: Tensors = {"image": text(*self.pictures)} if self.pictures else {}
        return {
            "text_input": text(self.prompt),
            **optional,
            "stream": np.array([stream]),
            "sampling_parameters": text(self.parameters),
            "exclude_input_in_output": yes,
            "return_finish_reason": yes,
            "return_logprobs": yes,
        }


class Running(Protocol):
    """A request on its way."""

    def __iter__(self) -> Iterator[Tensors]:
        """The messages as they come; an empty one is a moment to look around.

        Raises:
            DeadlineExceeded: the deadline passed.
            PixelisError: what vLLM's backend answered, or that it is not up.
        """

    def wake(self) -> None:
        """Have the reader look around now. Any thread may."""

    def close(self) -> None:
        """Nobody wants the rest."""


class Carrier(Protocol):
    """Begins requests, from any thread."""

    def begin(self, asked: Asked, deadline: float) -> Running:
        """Send `asked`; its last message is waited for until `deadline`, in seconds since the epoch."""

    def end(self) -> None:
        """Let go of what it holds."""
