"""ONNX with weights of 8 or 4 bits in blocks that share a scale (MatMulNBits), and embedding rows of 8 bits."""

from __future__ import annotations

from pathlib import Path

from builder.formats.onnx_int8 import choose, quiet
from builder.formats.onnx_tables import shrink_tables
from builder.optimization import OptimizationConfig
from pixelis.errors import BuildError

ACCURACY_LEVEL = 4
"""Of MatMulNBits: the kernel rounds activations to int8, a scale for each block of a row, so that it can multiply
integers. A row's scales depend on nothing but the row: an answer stays independent of its batch."""


def quantise_weights(path: Path, bits: int, config: OptimizationConfig) -> list[str]:
    """Give the matrices of the fp32 graph at `path` weights of `bits` bits, and its embedding tables 8.

    Returns:
        what was done, in words for the manifest.

    Raises:
        BuildError: the graph multiplies by no constant matrix, or scales of blocks that are for decoders alone.
    """
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel

    from builder.formats.onnx import save

    if config.block_scales == "k_quant":
        raise BuildError(
            "Scales by k_quant are for decoders.", mend="Here block_scales is auto, symmetric, asymmetric."
        )
    _, left_out = choose(path, ("MatMul", "Gemm"), config)
    tables = shrink_tables(path)
    plain = ONNXModel(onnx.load(str(path)))
    plain.replace_gemm_with_matmul()
    with quiet():
        quantizer = MatMulNBitsQuantizer(
            plain.model,
            bits=bits,
            block_size=config.group_size,
            is_symmetric=config.block_scales != "asymmetric",
            accuracy_level=ACCURACY_LEVEL,
            nodes_to_exclude=left_out,
            op_types_to_quantize=("MatMul",),
        )
        quantizer.process()
    count = sum(node.op_type == "MatMulNBits" for node in quantizer.model.model.graph.node)
    if not count:
        raise BuildError(f"{path.name} multiplies by no constant matrix.", mend="Build it in another precision.")
    save(quantizer.model.model, path)
    left = sum(node.op_type in ("MatMul", "Conv") for node in quantizer.model.model.graph.node)
    words = f"{count} matrices of {bits} bits in blocks of {config.group_size}, accuracy level {ACCURACY_LEVEL}"
    return [f"MatMulNBitsQuantizer: {words}, {left} products left in fp32", *tables]
