"""`pixelis bench gpu`, on the CPU: all of it runs, and ours answers as transformers does."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from perf.bench_gpu import app
from pixelis.schema import Measurement

TINY = ["--shape", "tiny", "--device", "cpu", "--rounds", "1", "--turn-s", "0.01"]


@pytest.mark.long
def test_tower_and_decoder_are_measured_and_the_tower_answers_as_the_original() -> None:
    asked = [*TINY, "--batches", "1,2", "--rows", "1,2", "--prompts", "16", "--json"]
    made = CliRunner().invoke(app, asked)
    assert made.exit_code == 0, made.output
    found = Measurement.model_validate(json.loads(made.stdout[made.stdout.index("{") :]))
    kinds = {row["row"] for row in found.rows}
    assert kinds == {"ceilings", "attention", "tower", "first token", "step"}
    errors = {row["system"]: row["relative_error"] for row in found.rows if row["row"] == "tower"}
    assert errors["TorchScript fp32"] < 1e-4
    assert 1e-5 < errors["TorchScript fp16"] < 1e-2
    assert 1e-3 < errors["TorchScript bf16"] < 5e-2
    assert {row["at_once"] for row in found.rows if row["row"] == "step"} == {1, 2}


def test_an_unknown_shape_is_refused_with_those_that_there_are() -> None:
    made = CliRunner().invoke(app, ["--shape", "9b", "--device", "cpu"])
    assert made.exit_code != 0
    assert "There is no shape 9b" in str(made.exception)
