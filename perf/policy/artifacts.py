"""The runtime's own artifact: what the builder makes, judged by its gate, from the build cache or made now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from builder.building.candidates import build_candidates
from perf.formats.checkpoints import Checkpoint, in_use
from pixelis.errors import BuildError

FORMS = {"fp32": "onnx-fp32", "int8": "onnx-int8-dynamic"}
"""Form of the policy by precision."""


def policy_artifact(checkpoint: Checkpoint, precision: str, state: Path, watch: Callable[[str, str], None]) -> Path:
    """The folder of the policy's form in `precision`.

    Raises:
        BuildError: it cannot be built, or its gate refuses it.
    """
    with in_use(checkpoint):
        made = build_candidates(["policy"], ["onnx"], [precision], watch=watch, state=state)
    row = next(row for row in made.rows if row.candidate == FORMS[precision])
    if row.key is None or row.state == "failed":
        raise BuildError(f"The policy of {checkpoint.name} cannot be built as {row.candidate}: {row.reason}.")
    return state / "builds" / row.key
