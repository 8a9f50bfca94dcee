"""Where the time of a forward pass goes, by group of layers, beside what this machine could do.

By ONNX Runtime's own profiler, in a process without a server, on the shapes that requests had. Operations of products
are counted from the shapes that the profiler reports; bytes are those of inputs, weights and outputs.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from perf.profile.ceilings import Ceilings
from perf.profile.tree import Node
from python_backends.artifacts import artifact
from python_backends.engine.onnxruntime_engine import WIDE

TURNS = 20
WARM = 3
GRAPH = "model.onnx"
PRODUCTS = frozenset(
    ("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulNBits")
)
CONVOLUTIONS = frozenset(("Conv", "FusedConv", "ConvInteger", "QLinearConv", "NhwcFusedConv"))
DEPTH = 2
"""Parts of a node's name that tell its group, where it has any: `/blocks.0/attn/MatMul` is of `blocks.0/attn`."""
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
}
_TYPES |= {"tensor(int32)": np.int32, "tensor(bool)": np.bool_}


@dataclass
class _Group:
    us: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0
    nodes: int = 0


def shapes_of(trees: Sequence[Node]) -> dict[str, dict[str, tuple[int, ...]]]:
    """By engine model, the shapes of inputs that most of its calls had."""
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for tree in trees:
        for node in tree.walk():
            if "shapes" in node.notes:
                seen[node.component.partition(": ")[0]][json.dumps(node.notes["shapes"])] += 1
    return {
        model: {name: tuple(shape) for name, shape in json.loads(counted.most_common(1)[0][0]).items()}
        for model, counted in seen.items()
    }


def layers(
    repository: Path, shapes: Mapping[str, Mapping[str, Sequence[int]]], limits: Ceilings
) -> list[dict[str, Any]]:
    """Rows of each engine model that is served as ONNX, its groups with the most time first.

    `of_limit` is the share of the time that its operations or its bytes, whichever take longer, would need at the
    ceilings (Williams, Waterman & Patterson, CACM 2009): 1 = it cannot be quicker in this precision.
    """
    rows = []
    for model, of in shapes.items():
        path = artifact(repository, model) / GRAPH
        if path.exists():
            groups = _profiled(path, of)
            whole = sum(group.us for group in groups.values())
            for name, group in sorted(groups.items(), key=lambda item: -item[1].us):
                rows.append(_row(model, name, group, whole, limits))
    return rows


def _row(model: str, name: str, group: _Group, whole: float, limits: Ceilings) -> dict[str, Any]:
    needed = max(group.flops / limits.flops, group.bytes / limits.bytes)
    return {
        "row": "layers",
        "model": model,
        "layers": name,
        "ms": round(group.us / 1e3, 4),
        "share": round(group.us / whole, 4),
        "mflop": round(group.flops / 1e6, 2),
        "mib": round(group.bytes / 2**20, 2),
        "of_limit": round(needed / (group.us / 1e6), 3) if group.us else None,
        "bound_by": "operations" if group.flops / limits.flops > group.bytes / limits.bytes else "bytes",
        "nodes": group.nodes,
    }


def _profiled(path: Path, shapes: Mapping[str, Sequence[int]]) -> dict[str, _Group]:
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry(WIDE, "1")
        options.log_severity_level = 3
        options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        given = {node.name: _values(node.type, shapes[node.name]) for node in session.get_inputs()}
        for _ in range(WARM + TURNS):
            session.run(None, given)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return _grouped([event for event in events if event.get("cat") == "Node" and "op_name" in event.get("args", {})])


def _values(kind: str, shape: Sequence[int]) -> NDArray[Any]:
    """What fits any graph: ones, which are tokens, pixels, masks and widths alike."""
    return np.ones(tuple(shape), _TYPES[kind])


def _grouped(events: Sequence[dict[str, Any]]) -> dict[str, _Group]:
    """By group, of one run; the first runs are not counted."""
    runs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["name"].endswith("_kernel_time"):
            runs[event["name"]].append(event)
    groups: defaultdict[str, _Group] = defaultdict(_Group)
    for name, its in runs.items():
        once = len(its) // (WARM + TURNS) or 1  # a node within a loop runs several times
        counted = its[WARM * once :]
        said = counted[0]["args"]
        group = groups[_group(name.removesuffix("_kernel_time"), said["op_name"])]
        us = sum(float(event["dur"]) for event in counted) / TURNS
        group.us += us
        group.flops += once * flops(said)
        group.bytes += once * sum(
            float(said.get(part, 0)) for part in ("activation_size", "parameter_size", "output_size")
        )
        group.nodes += once
    return dict(groups)


def flops(said: Mapping[str, Any]) -> float:
    """Of one node, as the profiler describes it; a multiplication and an addition are two; only products count."""
    operator = said["op_name"]
    inputs: list[list[int]] = [next(iter(one.values())) for one in said.get("input_type_shape", [])]
    outputs: list[list[int]] = [next(iter(one.values())) for one in said.get("output_type_shape", [])]
    if not outputs or len(inputs) < 2:
        return 0.0
    if operator in PRODUCTS and inputs[0]:
        return 2.0 * math.prod(outputs[0]) * inputs[0][-1]
    if operator in CONVOLUTIONS:
        weights = next((shape for shape in inputs[1:] if len(shape) >= 3), None)
        return 2.0 * math.prod(outputs[0]) * math.prod(weights[1:]) if weights is not None else 0.0
    return 0.0


def _group(name: str, operator: str) -> str:
    """Of layers where names tell them, else of the operator: PyTorch's newer exporter names nodes without a module."""
    parts = [part for part in name.split("/") if part]
    return "/".join(parts[:-1][:DEPTH]) or operator
