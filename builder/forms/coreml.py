"""Which models are built for Core ML. Each was exported, optimised and inspected with `builder.build_one`'s code."""

from __future__ import annotations

from builder.candidate import Candidate, Exclusion, FormatName

COREML: FormatName = "coreml"
_OCR = "PP-OCR comes as an ONNX graph, and coremltools has no ONNX converter since version 6"
_WHOLE = {
    "policy": "the served graph is ONNX Runtime's fused one, with com.microsoft.GroupQueryAttention, and coremltools "
    "has no ONNX converter since version 6",
    "ocr_detect": _OCR,
    "ocr_recognize": _OCR,
    "knn": "an index and its records: there is no network inside",
    "vision_encoder": "the converter refuses it: Core ML only supports tensors with rank <= 5, and the reshape that "
    "merges patches has rank 7",
}
_ACTIVATIONS = "quantising activations needs Core ML's predict to calibrate, which exists on macOS only"


def forms(model: str) -> tuple[tuple[Candidate, ...], tuple[Exclusion, ...]]:
    """Candidates and exclusions of `model` in Core ML."""
    if model in _WHOLE:
        return (), (Exclusion(format=COREML, reason=_WHOLE[model]),)
    made = (
        Candidate(format=COREML),
        Candidate(format=COREML, precision="fp16"),
        Candidate(format=COREML, precision="int8", quantization="weights"),
    )
    return made, (
        Exclusion(format=COREML, precision="bf16", reason="Core ML has no bf16 type"),
        Exclusion(
            format=COREML,
            precision="int8",
            quantization="dynamic",
            reason="Core ML has no operator that quantises activations with scales found at run time",
        ),
        Exclusion(format=COREML, precision="int8", quantization="static", reason=_ACTIVATIONS),
        Exclusion(
            format=COREML,
            precision="int4",
            reason="four-bit weights are for decoders, and the decoder here is no network of Core ML's",
        ),
    )
