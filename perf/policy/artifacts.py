"""The runtime's own artifact: what the builder makes, judged by its gate, from the build cache or made now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from builder.building.candidates import build_candidates
from perf.formats.checkpoints import Checkpoint, in_use
from perf.policy.bench import RUNTIME, RUNTIME_OPENVINO, TORCH
from pixelis.errors import BuildError

FORMS = {
    RUNTIME: {"fp32": "onnx-fp32", "int8": "onnx-int8-dynamic"},
    RUNTIME_OPENVINO: {"fp32": "openvino-fp32", "int8": "openvino-int8-weights"},
    TORCH: {"fp32": "torchscript-fp32", "bf16": "torchscript-bf16"},
}
"""Forms of the policy by the runtime's system and by precision."""


def policy_artifact(
    checkpoint: Checkpoint, system: str, precision: str, state: Path, watch: Callable[[str, str], None]
) -> Path:
    """The folder of the policy's form that `system` decodes in `precision`.

    Raises:
        BuildError: there is none, it cannot be built, or its gate refuses it.
    """
    label = FORMS[system].get(precision)
    if label is None:
        raise BuildError(f"{system} is not measured in {precision}.", mend=f"It has {', '.join(FORMS[system])}.")
    with in_use(checkpoint):
        made = build_candidates(["policy"], [label.partition("-")[0]], [precision], watch=watch, state=state)
    row = next(row for row in made.rows if row.candidate == label)
    if row.key is None or row.state == "failed":
        raise BuildError(f"The policy of {checkpoint.name} cannot be built as {row.candidate}: {row.reason}.")
    return state / "builds" / row.key
