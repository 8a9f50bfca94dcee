"""ONNX: which precisions of which model, measured with `python -m builder.build_one MODEL --candidate LABEL --out DIR`.

fp16 is for GPU targets: ONNX Runtime's CPU provider computes it in fp32 between casts and is no faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.candidate import Candidate, Exclusion, Quantization
from builder.optimization import OptimizationConfig
from builder.tolerance import Precision

if TYPE_CHECKING:
    from builder.forms import Forms


def forms(model: str) -> Forms:
    """Candidates and exclusions of `model`."""
    return CANDIDATES.get(model, ()), EXCLUSIONS.get(model, ())


def _candidate(precision: Precision, how: Quantization = "none", **settings: object) -> Candidate:
    config = OptimizationConfig.model_validate(settings)
    return Candidate(format="onnx", precision=precision, quantization=how, optimization=config)


def _not(reason: str, precision: Precision | None = None, how: Quantization | None = None) -> Exclusion:
    return Exclusion(format="onnx", precision=precision, quantization=how, reason=reason)


_FP16 = _candidate("fp16")
_DYNAMIC = _candidate("int8", "dynamic")
_ROWS = _candidate("int8", "dynamic", activation_scales="row")
_WEIGHTS = _candidate("int8", "weights")
_INT4 = _candidate("int4", "weights")

_GROUP = 128
"""Weights that share a scale in the decoder; blocks of 32 take a third longer on 89 million parameters."""

CANDIDATES: dict[str, tuple[Candidate, ...]] = {
    "embed_image": (_FP16, _candidate("int8", "static", exclude_nodes=("Conv[:24]",))),
    "embed_text": (_FP16, _WEIGHTS),
    "vision_encoder": (_FP16, _ROWS, _WEIGHTS),
    "dynamics": (_FP16, _DYNAMIC, _candidate("int8", "static"), _WEIGHTS),
    "ocr_detect": (_FP16, _candidate("int8", "static", exclude_nodes=("Conv[depthwise]", "Conv[:42]"))),
    "ocr_recognize": (
        _FP16,
        _candidate("int8", "dynamic", exclude_operators=("Conv",)),
        _candidate("int8", "static", exclude_nodes=("Conv[depthwise]", "Conv[:28]", "Conv[-3:]")),
        _WEIGHTS,
        _INT4,
    ),
    "policy": (
        _FP16,
        _ROWS,
        _candidate("int8", "weights", group_size=_GROUP),
        _candidate("int4", "weights", group_size=_GROUP),
    ),
}
_NO_BF16 = _not(
    "ONNX Runtime 1.32's CPU provider has no bf16 kernel for MatMul, Gemm, Add and Softmax (NOT_IMPLEMENTED at load), "
    "and the operator set knows no bf16 Conv before version 22",
    "bf16",
)
_CONVOLUTIONS = "it is made of convolutions, and MatMulNBits stores matrices of MatMul alone in blocks of few bits"
_SLOW_CONV = "ONNX Runtime computes ConvInteger three to ten times slower than fp32 convolutions"

EXCLUSIONS: dict[str, tuple[Exclusion, ...]] = {
    "embed_image": (
        _not(f"{_SLOW_CONV} (137 ms for 14), and the gate refuses it: FEATURES cosine 0.41 < 0.99", "int8", "dynamic"),
        _not(_CONVOLUTIONS, "int8", "weights"),
        _not(_CONVOLUTIONS, "int4"),
    ),
    "embed_text": (
        _not(
            "the gate refuses it: with scales by row cosine 0.994 < 0.998, 0.996 with the second matrix of each MLP in "
            "fp32; with one scale for a whole activation an answer depends on its neighbours as well",
            "int8",
            "dynamic",
        ),
        _not(
            "the gate refuses it: BERT's few large activations take the range of all others, cosine 0.90 < 0.99",
            "int8",
            "static",
        ),
        _not("the gate refuses it: cosine 0.953 < 0.97, arg-max agreement 0.86 < 0.95 in blocks of 32", "int4"),
    ),
    "vision_encoder": (
        _not(
            "the gate refuses it: mean error of TOKENS 0.096 > 0.05, largest 1.0 > 0.5; 0.073 and 0.86 with the last "
            "matrix of every block in fp32",
            "int8",
            "static",
        ),
        _not("the gate refuses it: mean error of TOKENS 0.145 > 0.1 in blocks of 32", "int4"),
    ),
    "dynamics": (
        _not("of 1 000 pairs of real steps, 1.2 points lose fp32's order of curiosity; 1 is allowed", "int4"),
    ),
    "ocr_detect": (
        _not(f"{_SLOW_CONV} (172 ms for 32), and the gate refuses it: cosine of MAP 0.82 < 0.99", "int8", "dynamic"),
        _not(_CONVOLUTIONS, "int8", "weights"),
        _not(_CONVOLUTIONS, "int4"),
    ),
    "ocr_recognize": (),
    "policy": (
        _not(
            "onnxruntime-genai's model builder writes weights of 8 bits and no QuantizeLinear, and the quantiser's "
            "calibration infers no types behind GroupQueryAttention; scales by block (int8 weights) cost no accuracy",
            "int8",
            "static",
        ),
    ),
}
EXCLUSIONS = {model: (*found, _NO_BF16) for model, found in EXCLUSIONS.items()}
EXCLUSIONS["knn"] = (_not("an index and its records: there is no network inside"),)
