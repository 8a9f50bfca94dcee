"""`pixelis bench checkpoint --parts build` on small checkpoints of both families: built, judged, accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perf.bench_checkpoint import app
from pixelis.schema import Measurement
from pixelis.settings import settings
from tests.builder.checkpoints.test_architecture import small


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("shape", ["qwen2.5-vl-7b", "qwen3-vl-8b"])
def test_both_families_are_built_within_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    monkeypatch.setenv("PIXELIS_STATE", str(tmp_path / "state"))
    settings.cache_clear()
    try:
        directory = small(tmp_path / shape, shape)
        result = CliRunner().invoke(app, ["--checkpoint", str(directory), "--parts", "build", "--json"])
        assert result.exit_code == 0, result.exception or result.output
        found = Measurement.model_validate(json.loads(result.stdout))
    finally:
        settings.cache_clear()
    assert [row["model"] for row in found.rows] == ["vision_encoder", "policy"]
    claims = {claim.claim: claim for claim in found.claims}
    judged = {text: claim for text, claim in claims.items() if " as transformers" in text or "cosine" in text}
    assert len(judged) >= 3
    assert all(claim.met for claim in judged.values()), judged  # what it takes depends on what else runs
    assert list((tmp_path / "state").glob(".tmp-*")) == []
