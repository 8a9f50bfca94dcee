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
_WEIGHTS = _candidate("int8", "weights")
_INT4 = _candidate("int4", "weights")

_GROUP = 128
"""Weights that share a scale in the decoder; blocks of 32 take a third longer on 89 million parameters."""

CANDIDATES: dict[str, tuple[Candidate, ...]] = {
    "embed_text": (_FP16, _WEIGHTS),
    "vision_encoder": (_FP16, _DYNAMIC, _WEIGHTS),
    "dynamics": (_FP16, _DYNAMIC, _candidate("int8", "static"), _WEIGHTS),
    "ocr_detect": (_FP16,),
    "policy": (
        _FP16,
        _candidate("int8", "weights", group_size=_GROUP),
        _candidate("int4", "weights", group_size=_GROUP),
    ),
    "ocr_recognize": (_candidate("int8", "dynamic", exclude_operators=("Conv",)), _WEIGHTS, _INT4),
}
EXCLUSIONS: dict[str, tuple[Exclusion, ...]] = {
    "dynamics": (
        _not("of 1 000 pairs of real steps, 1.2 points lose fp32's order of curiosity; 1 is allowed", "int4"),
    ),
}
