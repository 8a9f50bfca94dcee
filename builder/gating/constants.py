"""Constants of an ONNX graph, a part at a time: those in files beside it are mapped for as long as a part is copied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

Index = tuple[slice, ...]
NUMBERS = 4 << 20
"""Of a constant that are looked at together."""


class Constants:
    """The constants of the graph in `path`.

    Attributes:
        graph: without what lies in files.
    """

    def __init__(self, path: Path) -> None:
        import onnx

        self._directory = path.parent
        self.graph: onnx.GraphProto = onnx.load(str(path), load_external_data=False).graph
        self._known = {one.name: one for one in self.graph.initializer}

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes of a constant's axes."""
        return tuple(self._known[name].dims)

    def whole(self, name: str) -> NDArray[Any]:
        """All of a constant."""
        return self.part(name, tuple(slice(None) for _ in self.shape(name)))

    def part(self, name: str, index: Index) -> NDArray[Any]:
        """A copy of `constant[index]`."""
        from onnx import external_data_helper, helper, numpy_helper

        one = self._known[name]
        if not external_data_helper.uses_external_data(one):
            return np.array(numpy_helper.to_array(one)[index])
        where = external_data_helper.ExternalDataInfo(one)
        dtype = helper.tensor_dtype_to_np_dtype(one.data_type)
        file = self._directory / where.location
        mapped = np.memmap(file, dtype=dtype, mode="r", offset=where.offset or 0, shape=self.shape(name))
        return np.array(mapped[index])
