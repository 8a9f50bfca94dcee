"""A repository that is written for vLLM, made servable here: its `policy_vllm` is the twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from builder.checkpoints.checks import check_checkpoint
from builder.checkpoints.using import settings_of
from builder.sources.checkpoint import NANO
from builder.vllm.build import build_vllm, planned
from builder.vllm.options import VllmOptions
from pixelis.settings import settings
from python_backends.policy.vllm.engine import MODEL

SHIM = '"""The twin of Triton\'s vLLM backend."""\n\nfrom tests.vllm.twin import Twin as TritonPythonModel\n'


def write(repository: Path, state: Path, **options: Any) -> Path:
    """Publish the nano for vLLM into `repository`; its other models stay as the embedded server runs them."""
    with settings_of(NANO):
        made = planned(check_checkpoint(NANO), VllmOptions(**options))
        report = build_vllm(made, repository, models=["policy", "vision_encoder"], state=state, target="embedded")
    assert not report.failed, report.failed
    return repository


def exchange(repository: Path, pace_s: float = 0.0) -> Path:
    """Put the twin in the place of the backend that is not there: `backend` and the kind of instances change alone.

    Returns:
        the folder in which the twin notes what it was asked.
    """
    path = repository / MODEL / "config.pbtxt"
    text = path.read_text(encoding="utf-8")
    assert 'backend: "vllm"' in text
    assert "KIND_MODEL" in text
    pace = f'parameters {{ key: "pace_s" value {{ string_value: "{pace_s}" }} }}\n'
    text = text.replace('backend: "vllm"', 'backend: "python"').replace("KIND_MODEL", "KIND_CPU") + pace
    path.write_text(text, encoding="utf-8")
    (repository / MODEL / "1" / "model.py").write_text(SHIM, encoding="utf-8")
    return repository / MODEL / "1"


def asked(folder: Path) -> list[dict[str, Any]]:
    """What the twin was asked, in order."""
    path = folder / "asked.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def served() -> Path:
    """The built repository of the settings."""
    return settings().repository.absolute()
