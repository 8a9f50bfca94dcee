"""Whether OpenVINO's integer products of full width come out right on this CPU."""

from __future__ import annotations

from pixelis.machine import this_machine, without_instructions

SEVEN_BITS = "weights in 7 bits, because this CPU adds pairs of products of 8 in 16, where the largest do not fit"


def saturates() -> bool:
    """Whether this CPU adds pairs of products of 8 bits in 16, where the largest of them do not fit.

    Without instructions for such products (VNNI) OpenVINO's kernels do, and no setting mends it; with weights of 7 bits
    the largest pair fits: 2 * 255 * 64 < 2^15. ONNX Runtime has a setting: see `onnxruntime_engine.WIDE`.
    """
    return "int8" in without_instructions(this_machine())
