"""An ONNX graph in bfloat16, and what its rounding costs where no kernel computes it."""

from __future__ import annotations

from pathlib import Path

LARGEST = (2 - 2**-7) * 2.0**127
"""The largest finite bf16; a mask of fp32's lowest number would become infinite, and a row of them NaN."""


def to_bfloat16(path: Path) -> list[str]:
    """Rewrite the graph at `path` in bfloat16, where `onnx_fp16.to_half` writes fp16; fp32 weights are rounded once.

    Raises:
        BuildError: no weight became smaller.
    """
    import ml_dtypes
    import numpy as np
    import onnx
    from onnx import TensorProto, numpy_helper

    from builder.formats.onnx import save
    from builder.formats.onnx_fp16 import to_half

    graph = onnx.load(str(path)).graph
    full = {weight.name: weight for weight in graph.initializer}
    # "Could not infer output types for operation: deconv": TensorRT-RTX 1.7 transposes no convolution in bf16
    done = to_half(path, [node.name for node in graph.node if node.op_type == "ConvTranspose"])
    model = onnx.load(str(path))
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.FLOAT16:
            exact = numpy_helper.to_array(full.get(weight.name, weight)).astype(np.float32)
            rounded = np.clip(exact, -LARGEST, LARGEST).astype(ml_dtypes.bfloat16)
            weight.CopyFrom(numpy_helper.from_array(rounded, weight.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.BFLOAT16
            if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT16:
                values = numpy_helper.to_array(attribute.t).astype(ml_dtypes.bfloat16)
                attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))
    save(model, path)
    return [line.replace("fp16", "bf16") for line in done]


def emulate(path: Path, to: Path) -> int:
    """Write the bf16 graph at `path` in fp32 that is rounded to bf16 wherever the graph holds bf16.

    Sums inside an operator stay in fp32, as they do on tensor cores.

    Returns:
        tensors that are rounded.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from builder.formats.onnx import save

    model = onnx.load(str(path))
    graph = model.graph
    typed = onnx.shape_inference.infer_shapes(model).graph.value_info
    small = {value.name for value in typed if value.type.tensor_type.elem_type == TensorProto.BFLOAT16}
    constants = [attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")]
    for weight in (*graph.initializer, *constants):
        if weight.data_type == TensorProto.BFLOAT16:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float32), weight.name))
    nodes = []
    for node in graph.node:
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name not in small:
                continue
            exact, rounded = f"{name}_exact", f"{name}_bf16"
            for attribute in node.attribute:  # a cast to bf16 computes in fp32 as well, and is rounded like the rest
                if node.op_type == "Cast" and attribute.name == "to":
                    attribute.i = TensorProto.FLOAT
            node.output[place] = exact
            nodes.append(helper.make_node("Cast", [exact], [rounded], to=TensorProto.BFLOAT16))
            nodes.append(helper.make_node("Cast", [rounded], [name], to=TensorProto.FLOAT))
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    save(model, to)
    return len(small)
