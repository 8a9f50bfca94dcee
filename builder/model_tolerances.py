"""Outputs that are held to something else than their precision's tolerance, and what was measured there.

The general tolerances are for outputs around 1, and for a maximum that stands out. In every case here the model's task
(`builder/tasks`) is judged beside the numbers, with the same drop allowed in every precision. Errors are those of ONNX
on the gate's samples: largest one beyond the relative one, and mean.
"""

from __future__ import annotations

from builder.tolerance import TOLERANCES, Precision, Tolerance

_Limits = dict[Precision, dict[str, dict[str, float]]]


def _logits(**limits: float) -> dict[str, dict[str, float]]:
    return {"PREFILL_LOGITS": limits, "STEP_LOGITS": limits}


_LIMITS: dict[str, _Limits] = {
    # The nano's logits spread over some thirty units. fp16 0.060, 0.0034; bf16 (TorchScript) 0.19, 0.020, and scale
    # 0.9988, because its states stay in fp32 between layers. OpenVINO's plugin rounds them and each norm's factor where
    # a CPU has bf16 instructions: 0.21, 0.019, scale 0.9947, cosine 0.99993, every arg-max the same. int8 weights
    # 0.24, 0.064, scale 1.014; int8 dynamic by row 0.59, 0.066, scale 1.010; int4 weights 2.6, 0.33, with the arg-max
    # of 0.89 of the steps: their tokens are drawn, so that nothing is certain there. With random weights
    # (`random_checkpoint.py`), which lose most in four bits, the cosine is 0.958.
    "policy": {
        "fp16": _logits(max_abs=0.1, mean_abs=5e-3),
        "bf16": _logits(max_abs=0.3, mean_abs=0.03, scale=7.5e-3),
        "int8": _logits(max_abs=1.0, mean_abs=0.1, scale=0.03),
        "int4": _logits(max_abs=4.0, mean_abs=0.5, cosine=0.95, scale=0.08, argmax=0.8),
    },
    # Which of 768 features of a visual token is the largest says nothing. With random
    # weights, which know no small activations, int8 has had a cosine of 0.9972 and an arg-max agreement of 0.951.
    "vision_encoder": {"int8": {"TOKENS": {"cosine": 0.996, "argmax": 0.93}}},
    # A picture's embedding has a length of about 17 and is made one of length 1 by whoever uses it: neither its scale
    # nor which of 1280 features is the largest matters. fp16 0.026, 0.0010; static int8 0.19, 0.0096, scale 1.026.
    "embed_image": {
        "fp16": {"EMBEDDING": {"max_abs": 0.05}},
        "int8": {"EMBEDDING": {"cosine": 0.99, "scale": 0.05, "argmax": 0.85}},
    },
    # Where text ends, the map falls from 1 to 0 within a pixel or two. Static int8 0.78, cosine 0.996, arg-max 0.969.
    "ocr_detect": {"int8": {"MAP": {"max_abs": 0.9, "cosine": 0.99, "argmax": 0.95}}},
    # Between two letters a column's probability depends on the last digits. fp16 0.11, 0.0003; static int8
    # cosine 0.9979.
    "ocr_recognize": {"fp16": {"PROBABILITY": {"max_abs": 0.2}}, "int8": {"PROBABILITY": {"cosine": 0.995}}},
}


def tolerances_of(model: str) -> dict[Precision, dict[str, Tolerance]]:
    """By precision and output, as `ModelSpec.precise_tolerances` takes them."""
    return {
        precision: {name: TOLERANCES[precision].model_copy(update=limits) for name, limits in outputs.items()}
        for precision, outputs in _LIMITS.get(model, {}).items()
    }
