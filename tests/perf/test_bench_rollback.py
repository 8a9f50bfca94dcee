"""`pixelis bench rollback`: its requests, and a short run with the real perf_analyzer on a real Triton."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from builder.spec import pipeline
from perf.perf_analyzer import obtain
from perf.rollback.samples import MOST, samples
from pixelis.errors import SetupError
from pixelis.schema import Measurement
from pixelis.settings import settings

ROOT = Path(__file__).resolve().parents[2]


def test_requests_are_rows_of_the_source_s_samples() -> None:
    rows = samples("dynamics")["data"]
    assert 1 <= len(rows) <= MOST
    for row in rows:
        for tensor in pipeline()["dynamics"].inputs:
            entry = row[tensor.name]
            assert tuple(entry["shape"]) == tensor.dims
            assert len(entry["content"]) == tensor.dims[0]
            assert isinstance(entry["content"][0], float)


@pytest.mark.long
@pytest.mark.triton
@pytest.mark.slow
def test_no_request_fails() -> None:
    try:
        obtain(settings().state)
    except SetupError as error:
        pytest.skip(f"perf_analyzer is not to be had here: {error}")
    command = [sys.executable, "-m", "pixelis", "bench", "rollback", "dynamics", "--rollbacks", "2"]
    command += ["--seconds", "15", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = Measurement.model_validate_json(done.stdout)
    load, *rollbacks = measured.rows
    assert load["answered"] == load["requests"] > 100
    assert [row["version"] for row in rollbacks] == [4, 5]
    assert rollbacks[0]["form"] != rollbacks[1]["form"]
    (claim,) = measured.claims
    assert (claim.measured, claim.target, claim.met) == (0, 0, True)
    assert json.loads(done.stdout)["command"].startswith("pixelis bench rollback dynamics")
