"""Which models are built for OpenVINO. Every reason was measured with `python -m builder.build_one MODEL`."""

from __future__ import annotations

from builder.candidate import Candidate, Exclusion, FormatName, Quantization
from builder.formats.openvino_saturation import saturates
from builder.optimization import OptimizationConfig
from builder.tolerance import Precision
from pixelis.machine import this_machine

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
_STATIC_POLICY = (
    "the source writes its graph itself, and calibration would need one whose attention sees the cache; scales of "
    "activations are found at run time behind int8 weights, for every group of a token"
)
_INT4_POLICY = "not tried with NNCF; ONNX Runtime's int4 is the smaller form that is built"
_SETTINGS: dict[str, dict[_Form, OptimizationConfig]] = {
    "dynamics": {("int8", "static"): OptimizationConfig(exclude_nodes=("Gemm[:1]",))},
    "policy": {("int8", "weights"): OptimizationConfig(autocast="bf16")},
}
"""What a form needs to pass: the first layer of dynamics takes states and actions, of two scales, in one matrix. And
what it gains from: between products in int8, bf16 takes a fifth off the policy's prefill and halves its cache.

Not on a CPU with AMX: there OpenVINO widens int8 weights for products of bf16, instead of rounding activations.
With 89 million parameters, on one thread: 12 ms a token and 64-118 for a prompt of 256, without bf16 6.2 and 95-99."""
_TILES = "amx_int8"
_SEVEN_BITS: dict[str, tuple[str, ...]] = {"vision_encoder": ("MatMul[narrowing]",)}
"""Nodes that static int8 leaves in fp32 as well where weights get 7 bits (`openvino_saturation`). Of the vision encoder
the last matrix of every MLP, whose inputs have the widest range: with them in int8 the largest error of TOKENS beyond
10 % is 0.687 > 0.5, else 0.480; any other group of matrices in fp32 leaves it above 0.58. 8 bits, their sums cut: 1.21,
and cosine 0.9949 < 0.996."""
_REFUSED: dict[str, dict[_Form, str]] = {
    "policy": {("int8", "static"): _STATIC_POLICY},
    "embed_image": {
        ("bf16", "none"): "the gate refuses it: EMBEDDING cosine 0.994 < 0.999, scale off by 0.6 % > 0.5 %",
        ("int8", "static"): "the gate refuses it: FEATURES cosine 0.733 < 0.998; 0.963 with the first 24 convolutions "
        "in fp32, where ONNX Runtime's static int8 passes; other ranges and bias corrections of NNCF change nothing",
        ("int8", "weights"): "the gate refuses it: EMBEDDING cosine 0.9888 < 0.99, FEATURES 0.9883 < 0.998",
    },
    "embed_text": {
        ("int8", "static"): "the gate refuses it: cosine of EMBEDDING 0.968 < 0.998, arg-max agreement 0.94 < 0.97",
    },
    "vision_encoder": {
        ("bf16", "none"): "the gate refuses it: mean error of TOKENS 0.0101 > 0.01, largest 0.122 > 0.1 beyond 5 %",
    },
    "ocr_detect": {
        ("bf16", "none"): "the gate refuses it: cosine of MAP 0.9949 < 0.999, largest error 0.211 > 0.1 beyond 5 %",
        ("int8", "static"): "the gate refuses it: cosine of MAP 0.939 < 0.99; 0.970 with depthwise and the first 42 "
        "convolutions in fp32, where ONNX Runtime's static int8 passes",
        ("int8", "weights"): "the gate refuses it: cosine of MAP 0.984 < 0.99, scale off by 0.85 % > 0.75 %",
    },
    "ocr_recognize": {
        ("fp16", "none"): "the gate refuses it: cosine of PROBABILITY 0.99978 < 0.9998, from fp16 weights alone",
        ("bf16", "none"): "the gate refuses it: cosine of PROBABILITY 0.998 < 0.999, largest error 0.467 > 0.1",
        ("int8", "static"): "the gate refuses it: cosine of PROBABILITY 0.991 < 0.995, scale off by 12 % > 0.75 %",
    },
}
"""Forms that were built, run and found wanting, by model."""


def forms(model: str) -> tuple[tuple[Candidate, ...], tuple[Exclusion, ...]]:
    """Candidates and exclusions of `model` in OpenVINO."""
    if model == "knn":
        return (), (Exclusion(format=OPENVINO, reason="an index and its records: there is no network inside"),)
    refused = _REFUSED.get(model, {})
    special, usual = _SETTINGS.get(model, {}), OptimizationConfig()
    made = tuple(
        Candidate(
            format=OPENVINO,
            precision=form[0],
            quantization=form[1],
            optimization=_narrow(model, form, special.get(form, usual)),
        )
        for form in ALL
        if form not in refused
    )
    excluded = tuple(
        Exclusion(format=OPENVINO, precision=precision, quantization=how, reason=reason)
        for (precision, how), reason in refused.items()
    )
    return made, (
        *excluded,
        Exclusion(format=OPENVINO, precision="int8", quantization="dynamic", reason=_DYNAMIC),
        Exclusion(format=OPENVINO, precision="int4", reason=_INT4_POLICY if model == "policy" else _INT4),
    )


def _narrow(model: str, form: _Form, config: OptimizationConfig) -> OptimizationConfig:
    """`config` on this CPU."""
    if form == ("int8", "weights") and _TILES in this_machine().features:
        config = config.model_copy(update={"autocast": "none"})
    left = _SEVEN_BITS.get(model, ()) if form[1] == "static" and saturates() else ()
    return config.model_copy(update={"exclude_nodes": (*config.exclude_nodes, *left)}) if left else config
