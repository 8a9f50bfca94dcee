"""`pixelis bench checkpoint --parts serve` on the nano: a real Triton writes what transformers finds likeliest."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from perf.bench_checkpoint import app
from perf.checkpoint.serve import QUESTIONS
from pixelis.schema import Measurement


@pytest.mark.long
@pytest.mark.triton
def test_the_nano_is_served() -> None:
    done = CliRunner().invoke(app, ["--prompts", "3", "--tokens", "8", "--parts", "serve", "--json"])
    assert done.exit_code == 0, done.exception or done.output
    measured = Measurement.model_validate(json.loads(done.stdout))
    prompts = [row for row in measured.rows if row["row"] == "serve"]
    assert [row["prompt"] for row in prompts] == ["text", "image", "two images"]
    assert sum(row["row"] == "serve question" for row in measured.rows) == QUESTIONS
    assert all(claim.met for claim in measured.claims), measured.claims
