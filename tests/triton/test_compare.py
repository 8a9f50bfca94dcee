"""`pixelis compare` and `pixelis bench compare` on real servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixelis.schema import Measurement
from pixelis.settings import settings

pytestmark = pytest.mark.triton


def run(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PIXELIS_REPOSITORY": str(settings().repository.absolute()),
        "PIXELIS_STATE": str(state),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    command = [sys.executable, "-m", "pixelis", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)


@pytest.mark.long
def test_a_server_beside_itself_and_one_with_other_settings(tmp_path: Path) -> None:
    done = run(tmp_path, "compare", "here", "here", "--b-set", "limits.frames=1", "--pairs", "20", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    rows = Measurement.model_validate_json(done.stdout).rows
    a, b = (row for row in rows if row["row"] == "side")
    assert a["answered"] == a["asked"] > b["answered"]  # questions about clips are refused by one of them
    assert min(a["pss_mib"], b["pss_mib"]) > 100
    (verdict,) = (row for row in rows if row["row"] == "verdict")
    assert verdict["pairs"] > 20  # pairs that one did not answer are made up for
    assert verdict["same_answers"] == 1.0
