"""Which models are built for TensorRT. Each was built with `python -m builder.build_one MODEL --candidate LABEL`."""

from __future__ import annotations

from builder.candidate import Candidate, Exclusion, FormatName, Quantization
from builder.optimization import OptimizationConfig
from builder.tolerance import Precision

TENSORRT: FormatName = "tensorrt"
_Form = tuple[Precision, Quantization]
ALL: tuple[_Form, ...] = (("fp32", "none"), ("fp16", "none"), ("bf16", "none"), ("int8", "static"))
_IN_FP32: dict[str, tuple[str, ...]] = {
    "embed_image": ("Conv[:30]",),
    "ocr_detect": ("Conv[depthwise]", "Conv[:54]"),
    "ocr_recognize": ("Conv[depthwise]", "Conv[:40]", "Conv[-3:]"),
}
"""Nodes that int8 leaves alone: a few more than in ONNX, since TensorRT's activations are signed and symmetric."""
_REFUSED: dict[str, dict[_Form, str]] = {
    "embed_image": {
        ("bf16", "none"): "the graph that the engine is built of, its rounding emulated, answers wrong: mean error of "
        "EMBEDDING 0.0118 > 0.01, cosine 0.9940 < 0.999; cosine of FEATURES 0.9926 < 0.999"
    },
    "embed_text": {
        ("int8", "static"): "the graph that the engine is built of answers wrong: cosine of EMBEDDING 0.730 < 0.998, "
        "arg-max agreement 0.25 < 0.97 with signed, symmetric activations"
    },
    "ocr_detect": {
        (
            "bf16",
            "none",
        ): "the graph that the engine is built of, its rounding emulated, answers wrong: largest error of "
        "MAP 0.132 > 0.1 beyond 5 %"
    },
    "ocr_recognize": {
        (
            "bf16",
            "none",
        ): "the graph that the engine is built of, its rounding emulated, answers wrong: largest error of "
        "PROBABILITY 0.467 > 0.1 beyond 5 %, cosine 0.9980 < 0.999"
    },
    "vision_encoder": {
        ("bf16", "none"): "the graph that the engine is built of, its rounding emulated, answers wrong: mean error of "
        "TOKENS 0.0188 > 0.01, largest 0.438 > 0.1 beyond 5 %",
        ("int8", "static"): "the graph that the engine is built of answers wrong: mean error of TOKENS 0.126 > 0.05, "
        "cosine 0.9924 < 0.996",
    },
}
"""Forms that were tried and found wanting, by model."""
_DYNAMIC = "TensorRT's parser has no DynamicQuantizeLinear, MatMulInteger and ConvInteger; QDQ is its int8: see static"
_WEIGHTS = "TensorRT takes int8 as QDQ around both operands; weights alone in int8 are for ONNX and OpenVINO"
_INT4 = "four-bit weights are for decoders, and the decoder here is not a network of TensorRT's operators"
_POLICY = (
    "its KV cache lives in com.microsoft.GroupQueryAttention, which is no operator of TensorRT; TensorRT-LLM has its "
    "own runtime and scheduler, and would be another engine"
)


def forms(model: str) -> tuple[tuple[Candidate, ...], tuple[Exclusion, ...]]:
    """Candidates and exclusions of `model` in TensorRT."""
    if model == "knn":
        return (), (Exclusion(format=TENSORRT, reason="an index and its records: there is no network inside"),)
    if model == "policy":
        return (), (Exclusion(format=TENSORRT, reason=_POLICY),)
    refused = _REFUSED.get(model, {})
    made = tuple(_candidate(model, *form) for form in ALL if form not in refused)
    excluded = tuple(
        Exclusion(format=TENSORRT, precision=precision, quantization=how, reason=reason)
        for (precision, how), reason in refused.items()
    )
    return made, (
        *excluded,
        Exclusion(format=TENSORRT, precision="int8", quantization="dynamic", reason=_DYNAMIC),
        Exclusion(format=TENSORRT, precision="int8", quantization="weights", reason=_WEIGHTS),
        Exclusion(format=TENSORRT, precision="int4", reason=_INT4),
    )


def _candidate(model: str, precision: Precision, how: Quantization) -> Candidate:
    left = _IN_FP32.get(model, ()) if precision == "int8" else ()
    config = OptimizationConfig(exclude_nodes=left)
    return Candidate(format=TENSORRT, precision=precision, quantization=how, optimization=config)
