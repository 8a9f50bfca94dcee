"""The little of `triton_python_backend_utils` that the adapter uses, for tests off the server.

The real one is used by everything in `tests/triton`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Tensor:
    def __init__(self, name: str, array: NDArray[Any]) -> None:
        self._name, self._array = name, array

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> NDArray[Any]:
        return self._array


class TritonError:
    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE = range(5)

    def __init__(self, message: str, code: int = 1) -> None:
        self._message, self.code = message, code

    def message(self) -> str:
        return self._message


class InferenceResponse:
    def __init__(self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None) -> None:
        self._tensors, self._error = list(output_tensors), error

    def output_tensors(self) -> list[Tensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


class Sender:
    def __init__(self) -> None:
        self.sent: list[InferenceResponse] = []
        self.final = 0
        self.gone = False

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        assert not self.final, "sent after the final response"
        if response is not None:
            self.sent.append(response)
        self.final = flags

    def is_cancelled(self) -> bool:
        return self.gone


class Request:
    def __init__(self, request_id: str = "", **arrays: NDArray[Any]) -> None:
        self._id, self._arrays, self.sender = request_id, arrays, Sender()

    def inputs(self) -> list[Tensor]:
        return [Tensor(name, array) for name, array in self._arrays.items()]

    def request_id(self) -> str:
        return self._id

    def parameters(self) -> str:
        return "{}"

    def get_response_sender(self) -> Sender:
        return self.sender


class TritonModelException(Exception):
    pass


Sibling = Callable[[dict[str, NDArray[Any]]], Iterator[InferenceResponse]]


class InferenceRequest:
    """A BLS request; `siblings` holds what a test put there."""

    siblings: dict[str, Sibling] = {}  # noqa: RUF012 - the fake's one registry

    def __init__(
        self,
        model_name: str,
        requested_output_names: list[str],
        inputs: Sequence[Tensor],
        model_version: int = -1,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self._model, self._inputs = model_name, {t.name(): t.as_numpy() for t in inputs}

    def exec(self, decoupled: bool = False) -> Any:
        if self._model not in self.siblings:
            raise TritonModelException(f"Failed for execute the inference request. Model '{self._model}' is not ready.")
        answers = self.siblings[self._model](self._inputs)
        return answers if decoupled else next(answers)


class Metric:
    def __init__(self, family: MetricFamily, labels: dict[str, str], buckets: list[float] | None = None) -> None:
        self._key, self._log = (family.name, tuple(sorted(labels.items()))), family.log

    def increment(self, amount: float) -> None:
        self._log.append((*self._key, amount))

    observe = set = increment


class MetricFamily:
    COUNTER, GAUGE, HISTOGRAM = range(3)
    log: list[tuple[str, tuple[tuple[str, str], ...], float]] = []  # noqa: RUF012 - the fake's one record

    def __init__(self, name: str, description: str, kind: int) -> None:
        self.name = name

    def Metric(self, labels: dict[str, str], buckets: list[float] | None = None) -> Metric:
        return Metric(self, labels, buckets)


class Logger:
    errors: list[str] = []  # noqa: RUF012 - the fake's one record

    @classmethod
    def log_error(cls, message: str) -> None:
        cls.errors.append(message)


def module() -> ModuleType:
    """A module that can stand in `sys.modules`."""
    made = ModuleType("triton_python_backend_utils")
    for member in (
        Tensor,
        TritonError,
        InferenceResponse,
        InferenceRequest,
        TritonModelException,
        MetricFamily,
        Logger,
    ):
        setattr(made, member.__name__, member)
    made.TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1  # type: ignore[attr-defined]
    return made


def array(*values: str) -> NDArray[np.object_]:
    """`[1, n]` BYTES."""
    return np.array([[value.encode() for value in values]], object)


def wait(condition: Callable[[], bool]) -> bool:
    """Whether it came true within five seconds."""
    end = time.time() + 5
    while not condition() and time.time() < end:
        time.sleep(0.01)
    return condition()
