"""Which nodes of an ONNX graph a setting means: by name, or by place, because exporters number their names anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import gt
from typing import TYPE_CHECKING

from pixelis.errors import BuildError

if TYPE_CHECKING:
    import onnx

_SLICE = re.compile(r"(\w+)\[(-?\d+)?:(-?\d+)?\]")
_DEPTHWISE = "Conv[depthwise]"
_NARROWING = "MatMul[narrowing]"


def chosen_nodes(graph: onnx.GraphProto, wanted: Sequence[str]) -> list[str]:
    """Names of the nodes that `wanted` means, sorted.

    Args:
        graph: in topological order, as every exporter writes it.
        wanted: names, or `Conv[:4]` (the first four of a type, as Python slices), `Conv[depthwise]` (convolutions in
            more than one group), or `MatMul[narrowing]` (behind another product, by a constant matrix with more
            rows than columns: the last one of an MLP).

    Raises:
        BuildError: one of them means no node.
    """
    names = {node.name for node in graph.node}
    found: set[str] = set()
    for text in wanted:
        meant = _meant(graph, text) if text not in names else [text]
        if not meant:
            raise BuildError(
                f"The graph has no node {text}, which should be left out.",
                mend=f"Its {len(names)} nodes are called for instance {', '.join(sorted(names)[:5])}; "
                f"Conv[:4], {_DEPTHWISE} and {_NARROWING} are understood too.",
            )
        found.update(meant)
    return sorted(found)


def _meant(graph: onnx.GraphProto, text: str) -> list[str]:
    if text == _DEPTHWISE:
        return [node.name for node in graph.node if node.op_type == "Conv" and _groups(node) > 1]
    if text == _NARROWING:
        narrow = {weight.name for weight in graph.initializer if len(weight.dims) == 2 and gt(*weight.dims)}
        products = [node for node in graph.node if node.op_type == "MatMul"]
        return [node.name for node in products[1:] if node.input[1] in narrow]
    place = _SLICE.fullmatch(text)
    if place is None:
        return []
    kind, begin, end = place.groups()
    of_kind = [node.name for node in graph.node if node.op_type == kind]
    return of_kind[int(begin) if begin else None : int(end) if end else None]


def _groups(node: onnx.NodeProto) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "group"), 1)
