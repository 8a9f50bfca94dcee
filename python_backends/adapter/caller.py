"""Calls of sibling models, each with a deadline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from pixelis.errors import PixelisError, ServingError, Unavailable, from_wire
from python_backends.adapter.tensors import tensors_of
from python_backends.artifacts import ANY_VERSION
from python_backends.deadlines import Bell, Linger, call_by, stream_by
from python_backends.rows import Tensors
from python_backends.siblings import Siblings
from python_backends.tracing import Span, recorder

_FORGOTTEN_SECONDS = 10.0
"""How long after a BLS stream's end we hold its iterator.

Triton 2.51 forgets the stream in a thread that does not hold the interpreter lock; if that were the last reference,
the tensors would be freed there, and the interpreter's heap broken. It takes milliseconds.
"""

_NOT_UP = (
    "is not healthy",
    "is not ready",
    "is not found",
    "not found in the repository",
    "unexpectedly",
    "unavailable",
)


class Caller:
    """Calls of sibling models (BLS). Inputs carry the batch axis where the sibling has one."""

    def __init__(self) -> None:
        self._ended = Linger(_FORGOTTEN_SECONDS)
        self._siblings = Siblings()

    def call(
        self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, version: int = ANY_VERSION
    ) -> Tensors:
        """One answer of `model`.

        Args:
            model: a sibling's name.
            inputs: arrays by name.
            outputs: names wanted.
            deadline: seconds since the epoch.
            version: that must answer; by default the one that is served.

        Raises:
            DeadlineExceeded: it did not answer in time.
            Unavailable: it is not loaded, or its process is dead.
            PixelisError: the error that it answered with.
        """
        with recorder.span(model, "call") as span:
            request = pb_utils.InferenceRequest(
                model_name=model,
                requested_output_names=list(outputs),
                inputs=tensors_of(inputs),
                model_version=version,
                parameters=recorder.sent(span),
            )
            return call_by(deadline, lambda: _read(_exec(request, model), model, outputs), model)

    def ready(self, model: str, version: str) -> bool:
        """Whether this version of a sibling is loaded."""
        try:
            return bool(pb_utils.is_model_ready(model_name=model, model_version=version))
        except pb_utils.TritonModelException:
            return False

    def one(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        output: str,
        deadline: float,
        version: int = ANY_VERSION,
    ) -> NDArray[Any]:
        """As `call`, for a model of which one output is wanted."""
        return self.call(model, dict(inputs), [output], deadline, version)[output]

    def stream(
        self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, bell: Bell[Tensors] | None = None
    ) -> Iterator[Tensors]:
        """The answers of a decoupled `model`, as they come; raises as `call` does, and soon where its process dies.

        Args:
            model: a sibling's name.
            inputs: arrays by name.
            outputs: names wanted.
            deadline: seconds since the epoch.
            bell: see `stream_by`.
        """
        span = recorder.begin(model, "call")
        request = pb_utils.InferenceRequest(
            model_name=model,
            requested_output_names=list(outputs),
            inputs=tensors_of(inputs),
            parameters=recorder.sent(span),
        )

        def answers() -> Iterator[Tensors]:
            responses, failed = _exec(request, model, decoupled=True), None
            try:
                for response in responses:  # to its end, also after an error: that is when Triton forgets it
                    if response.has_error():
                        failed = response
                    elif response.output_tensors():
                        yield _read(response, model, outputs)
            finally:
                self._ended.keep(responses)
            if failed is not None:
                _read(failed, model, outputs)

        return _to_its_end(span, stream_by(deadline, answers, model, self._siblings.watch(model), bell))


def _to_its_end(span: Span, items: Iterator[Tensors]) -> Iterator[Tensors]:
    try:
        yield from items
    finally:
        span.end()


def _exec(request: Any, model: str, **how: bool) -> Any:
    """Run a BLS request; that it could not even be sent is an error of ours too."""
    try:
        return request.exec(**how)
    except pb_utils.TritonModelException as error:
        raise _sibling_error(str(error), model) from error


def _read(response: Any, model: str, outputs: Sequence[str]) -> Tensors:
    """The arrays of a sibling's response, or its error as one of ours."""
    if response.has_error():
        raise _sibling_error(response.error().message(), model)
    arrays = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
    missing = [name for name in outputs if name not in arrays]
    if missing:
        raise ServingError(f"Model `{model}` did not answer {missing}.")
    return arrays


def _sibling_error(message: str, model: str) -> PixelisError:
    error = from_wire(message)
    if type(error) is ServingError and any(words in message for words in _NOT_UP):
        return Unavailable(
            f"Model `{model}` is not up.",
            mend="Its process has died, and is soon started again, or it is not loaded. Try again in a moment.",
        )
    return error
