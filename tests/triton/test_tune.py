"""`pixelis tune pipeline` on real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelis.schema import Measurement
from tests.triton.test_compare import run

pytestmark = pytest.mark.triton


def test_a_search_is_measured_explained_and_gone_on_with(tmp_path: Path) -> None:
    html, found = tmp_path / "tuning.html", tmp_path / "found.toml"
    load = ("--minutes", "0.4", "--at-once", "1", "--families", "colour", "--only", "decoding.slots", "--json")
    done = run(tmp_path, "tune", "pipeline", *load, "--html", str(html), "--write", str(found))
    assert done.returncode == 0, done.stderr[-2000:]
    measured = Measurement.model_validate_json(done.stdout)
    trials = [row for row in measured.rows if row["row"] == "trial"]
    assert trials[0]["changes"] == "decoding.slots=2"
    assert all(row["pairs"] >= 5 and row["pss_mib"] > 100 and row["run"] == "this" for row in trials)
    (verdict,) = (row for row in measured.rows if row["row"] == "verdict")
    assert verdict["pairs"] >= 20
    assert verdict["at_least_%"] <= verdict["less_time_%"] <= verdict["at_most_%"]
    (claim,) = measured.claims
    assert claim.met == (verdict["better"] or claim.measured <= claim.target)
    assert "<svg" in html.read_text(encoding="utf-8")
    assert found.read_text(encoding="utf-8").startswith("[decoding]\nslots = ")
    assert (tmp_path / "tune" / "pipeline.db").is_file()


def test_what_cannot_be_turned_is_said(tmp_path: Path) -> None:
    done = run(tmp_path, "tune", "pipeline", "--only", "decoding.slots_of_another_kind")
    assert done.returncode == 1
    assert "nothing to be turned" in done.stderr
