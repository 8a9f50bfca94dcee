"""What a graph of a segmenter takes and gives, read without its weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixelis.errors import BuildError

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Port:
    """An input or output.

    Attributes:
        kind: ONNX's number of the element type.
        dims: sizes; -1 varies.
    """

    name: str
    kind: int
    dims: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        from onnx import helper

        return np.dtype(helper.tensor_dtype_to_np_dtype(self.kind))

    def fits(self, *dims: int) -> bool:
        """Whether it takes floats of these sizes."""
        alike = len(dims) == len(self.dims) and all(
            mine in (-1, size) for mine, size in zip(self.dims, dims, strict=False)
        )
        return alike and self.dtype.kind == "f"

    def __str__(self) -> str:
        return f"{self.name} {self.dtype.name}{[size if size >= 0 else '?' for size in self.dims]}"


@dataclass(frozen=True)
class Ports:
    """All of a graph, by name.

    Attributes:
        beside: files that hold weights of it.
    """

    inputs: dict[str, Port]
    outputs: dict[str, Port]
    beside: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"{_listed(self.inputs.values())} -> {_listed(self.outputs.values())}"


def read_ports(path: Path) -> Ports:
    """The ports of the graph at `path`.

    Raises:
        BuildError: it is not an ONNX file.
    """
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own, or the file system's
        mend = "Export it again, or move it elsewhere."
        raise BuildError(f"{path} cannot be read as ONNX: {type(error).__name__}.", mend=mend) from None
    weights = {weight.name for weight in model.graph.initializer}
    taken = [value for value in model.graph.input if value.name not in weights]
    if not model.graph.node or any(value.type.WhichOneof("value") != "tensor_type" for value in taken):
        raise BuildError(f"{path} is not an ONNX graph of tensors.", mend="Export it again, or move it elsewhere.")
    return Ports(_ports(taken), _ports(model.graph.output), _beside(model, path.parent))


def _ports(values: Iterable[onnx.ValueInfoProto]) -> dict[str, Port]:
    return {value.name: Port(value.name, value.type.tensor_type.elem_type, _dims(value)) for value in values}


def _dims(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim)


def _beside(model: onnx.ModelProto, folder: Path) -> tuple[Path, ...]:
    """Files of weights that are not in the graph's own, as a graph of more than 2 GiB has them."""
    names = {
        entry.value for weight in model.graph.initializer for entry in weight.external_data if entry.key == "location"
    }
    return tuple(folder / name for name in sorted(names))


def _listed(ports: Iterable[Port]) -> str:
    return ", ".join(str(port) for port in ports) or "nothing"
