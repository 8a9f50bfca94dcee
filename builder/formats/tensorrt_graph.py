"""An ONNX graph made ready for TensorRT's parser."""

from __future__ import annotations

from pathlib import Path


def widen_bytes(path: Path) -> int:
    """Cast uint8 inputs to fp32 before anything else, in place: TensorRT takes uint8 at its edge and nowhere else.

    Returns:
        inputs that were changed.
    """
    import onnx
    from onnx import TensorProto, helper

    from builder.formats.onnx import save

    model = onnx.load(str(path))
    graph = model.graph
    narrow = [value.name for value in graph.input if value.type.tensor_type.elem_type == TensorProto.UINT8]
    for name in narrow:
        wide = f"{name}_FP32"
        for node in graph.node:
            # a shape is the same in both types; moved over too, so that the cast is all that sees bytes
            node.input[:] = [wide if given == name else given for given in node.input]
        graph.node.insert(0, helper.make_node("Cast", [name], [wide], name=f"{name}_to_fp32", to=TensorProto.FLOAT))
    if narrow:
        save(model, path)
    return len(narrow)


def widen_biases(path: Path) -> str:
    """Biases that the quantiser wrote as int32 become fp32 again, in place: TensorRT dequantises int8, not int32.

    Returns:
        what was done, in words.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, numpy_helper

    from builder.formats.onnx import save

    model = onnx.load(str(path))
    graph = model.graph
    known = {weight.name: weight for weight in graph.initializer}
    wide = [
        node
        for node in graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0] in known
        and known[node.input[0]].data_type == TensorProto.INT32
    ]
    for node in wide:
        numbers, scale = (numpy_helper.to_array(known[name]) for name in node.input[:2])
        bias = (numbers.astype(np.float64) * scale).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(bias, node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [weight for weight in graph.initializer if weight.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    save(model, path)
    return f"{len(wide)} int32 biases back in fp32"


def slim(path: Path) -> str:
    """Fold constants and drop what does nothing, in place; what was done, in words."""
    import onnx
    import onnxslim

    from builder.formats.onnx import save

    model = onnx.load(str(path))
    before = len(model.graph.node)
    slimmed = onnxslim.slim(model)
    save(slimmed, path)
    return f"onnxslim: {before} -> {len(slimmed.graph.node)} nodes"


def weights(path: Path) -> tuple[int, int]:
    """Numbers in the weights of the graph at `path`, and their bytes; shapes and indexes are not weights."""
    import math

    import onnx
    from onnx import TensorProto

    whole = (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)
    kept = [w for w in onnx.load(str(path)).graph.initializer if w.data_type not in whole]
    return sum(math.prod(w.dims) for w in kept), sum(len(w.raw_data) or w.ByteSize() for w in kept)
