"""By the server's own gRPC: tokens as they come, and who goes away cancels.

One thread with an event loop has all streams, each of one request; a turn's own thread reads what it puts in a queue.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from typing import Any

import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from pixelis.errors import DeadlineExceeded, PixelisError, ServingError, Unavailable, from_wire
from python_backends.deadlines import LOOK_SECONDS
from python_backends.policy.vllm.carrier import MODEL, Asked
from python_backends.policy.vllm.reply import OUTPUTS
from python_backends.rows import Tensors

_DTYPES = {"O": "BYTES", "b": "BOOL"}
_NOT_UP = ("UNAVAILABLE", "is not healthy", "is not ready", "is not found", "unavailable")
"""What Triton and gRPC say of a model that is not there."""


class Grpc:
    """See `Carrier`.

    Args:
        address: `host:port` of the server's gRPC.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._client: Any = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()

    def begin(self, asked: Asked, deadline: float) -> GrpcTurn:
        """See `Carrier.begin`."""
        turn = GrpcTurn(self._loop, deadline)
        turn.work = asyncio.run_coroutine_threadsafe(self._follow(asked, turn), self._loop)
        return turn

    def end(self) -> None:
        """See `Carrier.end`."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    async def _follow(self, asked: Asked, turn: GrpcTurn) -> None:
        answers = None
        try:
            self._client = self._client or triton.InferenceServerClient(self.address)
            answers = self._client.stream_infer(_once(asked))
            async for result, error in answers:
                if error is not None:
                    raise error
                turn.put({name: result.as_numpy(name) for name in OUTPUTS})
            turn.put(None)
        except asyncio.CancelledError:
            turn.put(None)
        except Exception as error:  # raised again at the reader
            turn.put(self._typed(error))
        finally:
            if answers is not None:
                answers.cancel()

    def _typed(self, error: Exception) -> PixelisError:
        said = error.message() if isinstance(error, InferenceServerException) else str(error)
        if any(words in str(error) for words in _NOT_UP):
            return Unavailable(
                f"{MODEL} does not answer at {self.address}.",
                mend="vLLM is not up, or PIXELIS_VLLM__ADDRESS is not this server's gRPC. Try again in a moment.",
            )
        known = from_wire(said or "")
        return ServingError(f"vLLM: {known.message[:500]}") if type(known) is ServingError else known


class GrpcTurn:
    """See `Running`.

    Attributes:
        work: reads the stream.
    """

    work: Future[None]

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._loop, self._deadline = loop, deadline
        self._items: queue.SimpleQueue[Tensors | PixelisError | None] = queue.SimpleQueue()

    def put(self, item: Tensors | PixelisError | None) -> None:
        """A message, what went wrong, or the end."""
        self._items.put(item)

    def __iter__(self) -> Iterator[Tensors]:
        while True:
            left = self._deadline - time.time()
            if left <= 0:
                raise DeadlineExceeded(f"`{MODEL}` did not answer in time.", mend="Raise `timeout_s`.")
            try:
                item = self._items.get(timeout=min(left, LOOK_SECONDS))
            except queue.Empty:
                item = {}
            if item is None:
                return
            if isinstance(item, PixelisError):
                raise item
            yield item

    def wake(self) -> None:
        """See `Running.wake`."""
        self._items.put({})

    def close(self) -> None:
        """Cancel what is left of the stream: the server tells vLLM, which aborts the request."""
        self.work.cancel()


async def _once(asked: Asked) -> AsyncIterator[dict[str, Any]]:
    inputs = []
    for name, array in asked.tensors(stream=True).items():
        made = triton.InferInput(name, list(array.shape), _DTYPES[array.dtype.kind])
        made.set_data_from_numpy(array)
        inputs.append(made)
    yield {"model_name": MODEL, "inputs": inputs, "outputs": [triton.InferRequestedOutput(name) for name in OUTPUTS]}
