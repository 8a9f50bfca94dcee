"""Requests and arrays, as Triton has them and as we do."""

from __future__ import annotations

from typing import Any

import triton_python_backend_utils as pb_utils

from python_backends.rows import Row, Tensors, split
from python_backends.tracing import NOBODY, recorder


def sender_of(request: Any) -> str:
    """The span that sent a request, while spans are wanted."""
    return recorder.sender(request.parameters()) if recorder.on else NOBODY


def decode(request: Any, batched: bool) -> list[Row] | BaseException:
    """The rows of a request, or what is wrong with it."""
    try:
        return rows_of(request, batched)
    except Exception as error:  # becomes this request's answer
        return error


def rows_of(request: Any, batched: bool) -> list[Row]:
    """The rows of a request.

    Args:
        request: `pb_utils.InferenceRequest`.
        batched: whether the first axis of its tensors counts rows.

    Raises:
        InvalidRequest: see `split`.
    """
    tensors = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
    return split(tensors, batched, request.request_id())


def tensors_of(arrays: Tensors) -> list[Any]:
    """Arrays by name as `pb_utils.Tensor`s, in that order."""
    return [pb_utils.Tensor(name, array) for name, array in arrays.items()]
