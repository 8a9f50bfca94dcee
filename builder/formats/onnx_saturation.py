"""Whether integer products of full width come out right on this CPU."""

from __future__ import annotations

from pixelis.machine import this_machine, without_instructions


def saturates() -> bool:
    """Whether this CPU adds pairs of products of 8 bits in 16, where the largest of them do not fit.

    Without instructions for such products (VNNI) ONNX Runtime's kernels do: weights then get 7 bits, so that they fit.
    """
    return "int8" in without_instructions(this_machine())
