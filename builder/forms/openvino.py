"""Which models are built for OpenVINO. Every reason was measured with `python -m builder.build_one MODEL`."""

from __future__ import annotations

from builder.candidate import Candidate, Exclusion, FormatName, Quantization
from builder.tolerance import Precision

OPENVINO: FormatName = "openvino"
_Form = tuple[Precision, Quantization]
ALL: tuple[_Form, ...] = (
    ("fp32", "none"),
    ("fp16", "none"),
    ("bf16", "none"),
    ("int8", "static"),
    ("int8", "weights"),
)
_DYNAMIC = "OpenVINO's CPU plugin quantises activations at run time only behind compressed weights: see int8 weights"
_INT4 = "four-bit weights are for decoders; this network's weights are too few to gain from them and too many to lose"
_POLICY = (
    "the serving runner keeps its KV cache in ONNX Runtime's GroupQueryAttention, and OpenVINO 2026.4 refuses that "
    "graph: no conversion rule for com.microsoft.MRotaryEmbedding; another executor of the scheduler is needed"
)
_REFUSED: dict[str, dict[_Form, str]] = {
    "embed_image": {
        ("fp16", "none"): "the gate refuses it: cosine 0.992 < 0.999 on flat pictures, whose embedding is nearly zero",
        ("bf16", "none"): "the gate refuses it: EMBEDDING cosine 0.342 < 0.998, FEATURES 0.9926 < 0.998",
        ("int8", "static"): "the gate refuses it: EMBEDDING cosine 0.0 < 0.99 on flat pictures, FEATURES 0.866 < 0.99",
        ("int8", "weights"): "the gate refuses it: EMBEDDING cosine 0.720 < 0.99, FEATURES 0.9883 < 0.99",
    },
    "dynamics": {
        ("int8", "static"): "the gate refuses it: curiosity-order right in 0.988 of 1000 cases, 0.99 is allowed"
    },
    "embed_text": {("int8", "static"): "the gate refuses it: arg-max of EMBEDDING agrees in 0.929 < 0.97 of sentences"},
    "vision_encoder": {
        ("bf16", "none"): "the gate refuses it: mean error of TOKENS 0.0108 > 0.01, largest 0.122 > 0.1 beyond 5 %",
    },
    "ocr_detect": {
        ("bf16", "none"): "the gate refuses it: cosine of MAP 0.9949 < 0.998, largest error 0.211 > 0.1",
        ("int8", "static"): "the gate refuses it: cosine of MAP 0.966 < 0.99, largest error 0.741 > 0.5",
        ("int8", "weights"): "the gate refuses it: cosine of MAP 0.984 < 0.99",
    },
    "ocr_recognize": {
        ("fp16", "none"): "the gate refuses it: largest error of PROBABILITY 0.156 > 0.02 beyond 1 %",
        ("bf16", "none"): "the gate refuses it: largest error of PROBABILITY 0.467 > 0.1 beyond 5 %",
        ("int8", "static"): "the gate refuses it: cosine of PROBABILITY 0.985 < 0.99",
    },
}
"""Forms that were built, run and found wanting, by model."""


def forms(model: str) -> tuple[tuple[Candidate, ...], tuple[Exclusion, ...]]:
    """Candidates and exclusions of `model` in OpenVINO."""
    if model == "knn":
        return (), (Exclusion(format=OPENVINO, reason="an index and its records: there is no network inside"),)
    if model == "policy":
        return (), (Exclusion(format=OPENVINO, reason=_POLICY),)
    refused = _REFUSED.get(model, {})
    made = tuple(
        Candidate(format=OPENVINO, precision=precision, quantization=how)
        for precision, how in ALL
        if (precision, how) not in refused
    )
    excluded = tuple(
        Exclusion(format=OPENVINO, precision=precision, quantization=how, reason=reason)
        for (precision, how), reason in refused.items()
    )
    return made, (
        *excluded,
        Exclusion(format=OPENVINO, precision="int8", quantization="dynamic", reason=_DYNAMIC),
        Exclusion(format=OPENVINO, precision="int4", reason=_INT4),
    )
