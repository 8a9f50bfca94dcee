"""One row of a request, and the contract its answer is held to: Triton's tensors without Triton.

A batchable model sees every request as `[batch, ...]`; a row is one entry of that axis. A row's outputs are checked
against the model's configuration here, because Triton itself answers 200 to a wrong name, type or shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from pixelis.errors import InvalidRequest, ServingError
from pixelis.schema import parse_as

Tensors = dict[str, NDArray[Any]]
"""Named arrays; BYTES are arrays of objects that hold `bytes`."""

M = TypeVar("M", bound=BaseModel)

DTYPES: dict[str, type[np.generic]] = {
    "TYPE_BOOL": np.bool_,
    "TYPE_UINT8": np.uint8,
    "TYPE_INT32": np.int32,
    "TYPE_INT64": np.int64,
    "TYPE_FP16": np.float16,
    "TYPE_FP32": np.float32,
    "TYPE_FP64": np.float64,
    "TYPE_STRING": np.object_,
}


@dataclass(frozen=True)
class Row:
    """The inputs of one row, without the batch axis.

    Attributes:
        tensors: arrays by name; an optional input that was not sent is absent.
        request_id: as the client set it, or empty.
    """

    tensors: Tensors
    request_id: str = ""

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def array(self, name: str) -> NDArray[Any]:
        """The array of an input.

        Raises:
            InvalidRequest: it was not sent.
        """
        if name not in self.tensors:
            raise InvalidRequest(f"Input {name} is missing.", mend=f"Sent were: {', '.join(sorted(self.tensors))}.")
        return self.tensors[name]

    def strings(self, name: str) -> list[bytes]:
        """All elements of a BYTES input."""
        return [_bytes(item) for item in self.array(name).reshape(-1)]

    def string(self, name: str) -> bytes:
        """The single element of a BYTES input.

        Raises:
            InvalidRequest: it has none, or more than one.
        """
        found = self.strings(name)
        if len(found) != 1:
            raise InvalidRequest(f"Input {name} has {len(found)} elements; it takes exactly 1.")
        return found[0]

    def parsed(self, name: str, model: type[M]) -> M:
        """A JSON input as its typed object."""
        parsed: M = parse_as(model, self.string(name), name)
        return parsed


def _bytes(item: object) -> bytes:
    return item if isinstance(item, bytes) else str(item).encode()


def text(*values: str | bytes) -> NDArray[np.object_]:
    """A BYTES array `[n]` of `values`."""
    out = np.empty(len(values), dtype=np.object_)
    for i, value in enumerate(values):
        out[i] = value.encode() if isinstance(value, str) else value
    return out


def json_text(value: BaseModel) -> NDArray[np.object_]:
    """A BYTES array `[1]` that holds `value` as JSON."""
    return text(value.model_dump_json())


def split(tensors: Tensors, batched: bool, request_id: str = "") -> list[Row]:
    """A request's rows.

    Args:
        tensors: as they came; with a leading batch axis if `batched`.
        batched: whether the model has one (`max_batch_size` > 0).
        request_id: the client's, shared by all rows.

    Raises:
        InvalidRequest: the inputs disagree about the batch size.
    """
    if not batched:
        return [Row(tensors, request_id)]
    sizes = {array.shape[0] for array in tensors.values()}
    if len(sizes) != 1:
        raise InvalidRequest(f"The inputs have different batch sizes: {sorted(sizes)}.")
    return [Row({name: array[i] for name, array in tensors.items()}, request_id) for i in range(sizes.pop())]


@dataclass(frozen=True)
class Output:
    """One output as the configuration declares it; -1 in `dims` is any size."""

    name: str
    dtype: type[np.generic]
    dims: tuple[int, ...]

    def check(self, array: NDArray[Any]) -> None:
        """Hold one row's array against the declaration.

        Raises:
            ServingError: it does not fit; the model has a fault.
        """
        fits = array.ndim == len(self.dims) and all(
            want in (-1, have) for want, have in zip(self.dims, array.shape, strict=True)
        )
        if not fits or array.dtype != np.dtype(self.dtype):
            raise ServingError(
                f"Output {self.name} is {array.dtype.name}{list(array.shape)}, its contract is "
                f"{np.dtype(self.dtype).name}{list(self.dims)}."
            )


class Contract:
    """What a model may answer.

    Args:
        config: the model's configuration as Triton hands it over (parsed JSON).
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.model: str = config["name"]
        self.batched = int(config.get("max_batch_size", 0)) > 0
        self.outputs = tuple(
            Output(out["name"], DTYPES[out["data_type"]], tuple(int(d) for d in out["dims"]))
            for out in config.get("output", [])
        )

    def check(self, row: Tensors) -> None:
        """Hold one row's outputs against the contract.

        Raises:
            ServingError: a name, element type or shape that the configuration does not declare.
        """
        names = [out.name for out in self.outputs]
        if sorted(row) != sorted(names):
            raise ServingError(f"Model `{self.model}` answered {sorted(row)}, its contract is {sorted(names)}.")
        for out in self.outputs:
            out.check(row[out.name])

    def stack(self, rows: Sequence[Tensors]) -> Tensors:
        """Checked rows as one answer, with the batch axis where the model has one.

        Raises:
            ServingError: see `check`; or rows whose variable axes differ, which one answer cannot hold.
        """
        for row in rows:
            self.check(row)
        if not self.batched:
            return dict(rows[0])
        stacked: Tensors = {}
        for out in self.outputs:
            arrays = [row[out.name] for row in rows]
            if len({array.shape for array in arrays}) != 1:
                raise ServingError(f"Output {out.name} has rows of different shapes.", mend="Send one row a request.")
            stacked[out.name] = np.stack(arrays)
        return stacked
