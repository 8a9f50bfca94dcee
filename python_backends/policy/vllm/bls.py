"""By BLS: inside the server, a turn a message.

Tokens come together at the end, and a turn that nobody waits for is written to its end. Both are Triton's: where one
process reads several BLS streams of more than one message, its reader waits for the interpreter's lock while it holds
the stream's, and all of them lock up (2.51; `pb_response_iterator.cc` is the same in 2025); and what could cancel a
request, the iterator of its answers, is there when the first of them is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from python_backends.deadlines import Bell
from python_backends.policy.vllm.carrier import MODEL, Asked
from python_backends.policy.vllm.reply import OUTPUTS
from python_backends.rows import Tensors


class Transport(Protocol):
    """What carries BLS: `adapter.Caller` inside Triton."""

    def stream(
        self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, bell: Bell[Tensors] | None = None
    ) -> Iterator[Tensors]:
        """The answers of a decoupled model; `bell.idle` where there is none for a while."""


class Bls:
    """See `Carrier`.

    Args:
        transport: carries the calls.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def begin(self, asked: Asked, deadline: float) -> BlsTurn:
        """See `Carrier.begin`."""
        return BlsTurn(self._transport, asked, deadline)

    def end(self) -> None:
        """Nothing is held."""


class BlsTurn:
    """See `Running`."""

    def __init__(self, transport: Transport, asked: Asked, deadline: float) -> None:
        self._transport, self._asked, self._deadline = transport, asked, deadline
        self._bell: Bell[Tensors] = Bell({})

    def __iter__(self) -> Iterator[Tensors]:
        inputs = self._asked.tensors(stream=False)
        return self._transport.stream(MODEL, inputs, OUTPUTS, self._deadline, self._bell)

    def wake(self) -> None:
        """See `Running.wake`."""
        self._bell.ring()

    def close(self) -> None:
        """The rest is read by the thread that waits for it, and dropped."""
