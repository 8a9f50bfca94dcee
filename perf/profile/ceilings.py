"""What one thread of this machine can do, measured: products a second, and bytes a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

SIDE = 768
"""Of the matrices: three of them fit no first or second cache, and their product does 0.9 GFLOP."""
BYTES = 256 * 2**20
TURNS = 7


@dataclass(frozen=True)
class Ceilings:
    """Of one thread.

    Attributes:
        flops: of a product of matrices in fp32 by ONNX Runtime, a second; a multiplication and an addition are two.
        bytes: read and written by a copy that no cache holds, a second.
    """

    flops: float
    bytes: float


def ceilings() -> Ceilings:
    """Measure both; the best of some turns is the ceiling."""
    return Ceilings(_flops(), _bytes())


def _flops() -> float:
    shape = [SIDE, SIDE]
    names = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("a", "b", "c")]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", names[:2], names[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    given = {name: random.standard_normal(shape, np.float32) for name in ("a", "b")}
    return 2 * SIDE**3 / _least(lambda: session.run(None, given))


def _bytes() -> float:
    source, target = np.ones(BYTES, np.uint8), np.empty(BYTES, np.uint8)
    return 2 * BYTES / _least(lambda: np.copyto(target, source))


def _least(work: Callable[[], object]) -> float:
    times = []
    for _ in range(TURNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
