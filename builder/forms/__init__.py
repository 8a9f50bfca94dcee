"""Which forms of each model are built, and which are not, and why: a file for each family of formats.

Every model × format × precision is either a candidate that was built and passed its gate, or an exclusion.
"""

from __future__ import annotations

from collections.abc import Callable

from builder.candidate import Candidate, Exclusion
from builder.forms import coreml, gpu, onnx, openvino, tensorrt, torch
from builder.model_spec import ModelSpec

Forms = tuple[tuple[Candidate, ...], tuple[Exclusion, ...]]
FAMILIES: tuple[Callable[[str], Forms], ...] = (
    onnx.forms,  # keep the comma: a family a line
    openvino.forms,
    torch.forms,
    gpu.forms,
    tensorrt.forms,
    coreml.forms,
)
"""Each tells the candidates (without the default) and the exclusions of a model."""


def with_forms(spec: ModelSpec) -> ModelSpec:
    """`spec` with all its forms; a model without an artifact has none."""
    if not spec.built:
        return spec
    told = [family(spec.name) for family in FAMILIES]
    candidates = [c for forms, _ in told for c in forms if c.label != spec.candidate.label]
    exclusions = [e for _, forms in told for e in forms]
    return ModelSpec.model_validate({**spec.model_dump(), "candidates": candidates, "exclusions": exclusions})
