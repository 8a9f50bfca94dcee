"""How near the decoder's logits must be to the source's, in each precision.

The general tolerances are for outputs around 1; the nano's logits spread over some thirty units. Measured on its gate
samples (largest error beyond the relative one, mean error): fp16 0.060, 0.0034; int8 weights 0.24, 0.064, with a scale
that is off by 1.4 %; int4 weights 2.6, 0.33, with the arg-max of 0.89 of the steps. Tokens of those steps are drawn,
not the policy's own, so that nothing is certain there; whether what the policy writes stays right is decided by its
task (`builder/tasks/nano_turns.py`), with the same drop allowed in every precision.
"""

from __future__ import annotations

from builder.tolerance import TOLERANCES, Precision, Tolerance

OUTPUTS = ("PREFILL_LOGITS", "STEP_LOGITS")
_LIMITS: dict[Precision, dict[str, float]] = {
    "fp16": {"max_abs": 0.1, "mean_abs": 5e-3},
    "int8": {"max_abs": 1.0, "mean_abs": 0.1, "scale": 0.03},
    "int4": {"max_abs": 4.0, "mean_abs": 0.5, "scale": 0.08, "argmax": 0.8},
}


def logit_tolerances() -> dict[Precision, dict[str, Tolerance]]:
    """By precision and output, as `ModelSpec.precise_tolerances` takes them."""
    found = {}
    for precision, limits in _LIMITS.items():
        allowed = TOLERANCES[precision].model_copy(update=limits)
        found[precision] = dict.fromkeys(OUTPUTS, allowed)
    return found
