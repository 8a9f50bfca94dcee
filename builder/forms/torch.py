"""TorchScript and AOTInductor: which precisions of which model.

Every reason was measured with `python -m builder.build_one MODEL --candidate LABEL --out DIR`, on one thread of a CPU
with avx512_bf16 and avx512_vnni and without fp16 arithmetic.
"""

from __future__ import annotations

from builder.candidate import Candidate, Exclusion, FormatName, Quantization
from builder.tolerance import Precision

_Form = tuple[FormatName, Precision, Quantization]
ALL: tuple[_Form, ...] = (
    ("torchscript", "fp32", "none"),
    ("torchscript", "fp16", "none"),
    ("torchscript", "bf16", "none"),
    ("torchscript", "int8", "dynamic"),
    ("aotinductor", "fp32", "none"),
    ("aotinductor", "fp16", "none"),
    ("aotinductor", "bf16", "none"),
)
"""Forms that both formats can be in."""
_TS_INT8 = "the gate refuses it: PyTorch rounds activations to 7 bits, with one range for the whole batch"
_SLOW = "machine code for this CPU, which has no fp16 arithmetic"
_NO_INT8 = "torch.ao's dynamic layers are for single precision on a CPU; the decoder's TorchScript is for GPUs as well"
_COMPILED = (
    "machine code for one CPU, where the decoder is served as onnx; for GPUs, for which nothing is compiled here, "
    "it is built as torchscript"
)
_REFUSED: dict[str, dict[_Form, str]] = {
    "embed_image": {
        ("torchscript", "fp16", "none"): "the gate refuses it: largest error of EMBEDDING 0.031 > 0.02 beyond 1 %, "
        "arg-max agrees in 0.933 < 0.99; and 15 times slower than fp32",
        ("torchscript", "bf16", "none"): "the gate refuses it: cosine 0 < 0.998 on flat pictures, whose embedding is "
        "nearly zero, FEATURES cosine 0.977 < 0.998",
        ("torchscript", "int8", "dynamic"): "no Linear layer runs in it: PyTorch quantises no convolution at run time",
        ("aotinductor", "fp16", "none"): "the gate refuses it: largest error of EMBEDDING 0.032 > 0.02 beyond 1 %, "
        "arg-max agrees in 0.933 < 0.99",
        ("aotinductor", "bf16", "none"): "the gate refuses it: cosine 0 < 0.998 on flat pictures, whose embedding is "
        "nearly zero, FEATURES cosine 0.977 < 0.998",
    },
    "embed_text": {
        ("torchscript", "int8", "dynamic"): f"{_TS_INT8}: cosine 0.966 < 0.99, arg-max agrees in 0.929 < 0.97",
        ("aotinductor", "fp16", "none"): f"{_SLOW}: it passes the gate and takes 4.5 times as long as fp32",
    },
    "policy": {
        ("torchscript", "fp16", "none"): "the gate refuses it: PREFILL_LOGITS scale off by 0.14 % > 0.1 %; bf16 passes",
        ("torchscript", "int8", "dynamic"): _NO_INT8,
    },
    "vision_encoder": {
        ("torchscript", "bf16", "none"): "the gate refuses it: mean error of TOKENS 0.010005 > 0.01",
        ("torchscript", "int8", "dynamic"): f"{_TS_INT8}: mean error of TOKENS 0.090 > 0.05, largest 0.85 > 0.5 "
        "beyond 10 %",
        ("aotinductor", "fp16", "none"): f"{_SLOW}: it passes the gate and takes 6 times as long as fp32",
    },
}
"""Forms that were built, run and found wanting, or that PyTorch has no layers for, by model."""
_OCR = "PP-OCR comes as an ONNX graph in its package: there is no PyTorch module to trace or to compile"
_KNN = "an index and its records: there is no network inside"
_WHOLE = {"ocr_detect": _OCR, "ocr_recognize": _OCR, "knn": _KNN}
_NEVER: tuple[tuple[FormatName, Precision, Quantization | None, str], ...] = (
    ("torchscript", "int8", "static", "eager static quantisation needs stubs written into the code of every source"),
    (
        "torchscript",
        "int8",
        "weights",
        "layers with int8 weights and float arithmetic are in torchao alone",
    ),
    ("torchscript", "int4", None, "four-bit weights are for decoders, and PyTorch's kernels for them are in torchao"),
    ("aotinductor", "int8", None, "torch.ao's packed layers do not export; what replaces them is in torchao"),
    ("aotinductor", "int4", None, "four-bit weights are for decoders, and PyTorch's kernels for them are in torchao"),
)


def forms(model: str) -> tuple[tuple[Candidate, ...], tuple[Exclusion, ...]]:
    """Candidates and exclusions of `model` in both formats."""
    if model in _WHOLE:
        return (), tuple(Exclusion(format=name, reason=_WHOLE[model]) for name in ("torchscript", "aotinductor"))
    refused = _REFUSED.get(model, {})
    known = [form for form in ALL if model != "policy" or form[0] == "torchscript"]
    made = tuple(
        Candidate(format=name, precision=precision, quantization=how)
        for name, precision, how in known
        if (name, precision, how) not in refused
    )
    excluded = [
        Exclusion(format=name, precision=precision, quantization=how, reason=reason)
        for (name, precision, how), reason in refused.items()
    ]
    excluded += [
        Exclusion(format=name, precision=precision, quantization=how, reason=reason)
        for name, precision, how, reason in _NEVER
    ]
    if model == "policy":
        excluded.append(Exclusion(format="aotinductor", reason=_COMPILED))
    return made, tuple(excluded)
