"""`pixelis bench gateway`, small, on the built repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixelis.schema import Measurement
from pixelis.settings import settings

pytestmark = [pytest.mark.triton, pytest.mark.long, pytest.mark.timeout(300)]


def test_every_part_is_measured(tmp_path: Path) -> None:
    chosen = ["--rounds", "4", "--seconds", "10", "--open", "8", "--workers", "2", "--json"]
    command = [sys.executable, "-m", "pixelis", "bench", "gateway", *chosen]
    environment = {
        **os.environ,
        "PIXELIS_REPOSITORY": str(settings().repository.absolute()),
        "PIXELIS_STATE": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    measured = Measurement.model_validate_json(done.stdout)
    expected = [*(["latency", "latency", "added"] * 2), "throughput", "throughput", "streams"]
    assert [row["row"] for row in measured.rows] == expected
    assert {row["workers"] for row in measured.rows} == {2}
    assert len(measured.claims) == 5
    assert all(row["p50_ms"] > 0 for row in measured.rows if row["row"] == "latency")
    assert all(row["low"] <= row["p50_ms"] <= row["high"] for row in measured.rows if row["row"] == "added")
    (open_streams,) = measured.rows[-1:]
    assert open_streams["answers"] > 0
    assert open_streams["failed"] == 0
