"""`pixelis bench formats`: claims from rows, checkpoints, and one real run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from builder.choosing.choose import Row, choose
from builder.choosing.optimise import OptimiseReport
from perf.formats.checkpoints import NANO, Checkpoint, find_checkpoint, in_use
from perf.formats.claims import claims
from perf.formats.words import parse_goal, parse_names
from pixelis.errors import InvalidRequest
from pixelis.schema import Measurement
from pixelis.settings import settings
from tests.builder.costs import case, cost

ROOT = Path(__file__).resolve().parents[2]


def policy(label: str, prefill: float, decode: float, mib: float, size: int, drop: float) -> Row:
    cases = [case("prefill 256", 1, prefill, 100), case("decode batch 1", 1, decode, 10)]
    found = cost(label, mib=mib, size=size).model_copy(update={"model": "policy", "cases": cases})
    return Row(model="policy", candidate=label, state="measured", accuracy_drop=drop, cost=found)


def made(rows: list[Row]) -> OptimiseReport:
    return OptimiseReport(goal="latency", max_accuracy_drop=0.01, rows=rows, choices=[choose(rows, "latency")])


def test_claims_are_of_what_was_chosen() -> None:
    rows = [policy("onnx-fp32", 50, 6, 30, 1900, 0.0), policy("onnx-int4", 30, 4, 10, 500, 0.004)]
    found = list(claims(Checkpoint("nano", NANO, trained=True), made(rows)))
    assert [(claim.measured, claim.met) for claim in found] == [(0.7, True), (0.6, True), (0.4, True), (0.75, True)]
    assert all("onnx-int4" in claim.claim for claim in found)


def test_what_misses_its_target_is_said_to() -> None:
    rows = [policy("onnx-fp32", 50, 6, 30, 1900, 0.0), policy("onnx-int4", 30, 4, 10, 500, 0.4)]
    found = list(claims(Checkpoint("nano", NANO, trained=True), made(rows)))
    assert [(claim.measured, claim.met) for claim in found] == [(0.5, False), (0.4, False), (0.0, True)]


def test_accuracy_means_nothing_with_random_weights_and_memory_is_claimed_there() -> None:
    rows = [policy("onnx-int4", 30, 4, 10, 500, 0.0)]
    found = list(claims(Checkpoint("90m", NANO, trained=False), made(rows)))
    assert [claim.claim.split(": ")[1].split(" under")[0] for claim in found] == [
        "prefill latency",
        "decode latency",
        "weights",
        "resident memory of the model",
    ]


def test_a_checkpoint_is_in_use_only_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIXELIS_CHECKPOINT", raising=False)
    with in_use(find_checkpoint("nano", tmp_path)):
        assert settings().checkpoint == NANO
    assert settings().checkpoint is None
    with pytest.raises(InvalidRequest, match="no checkpoint"):
        find_checkpoint("nothing", tmp_path)


def test_words() -> None:
    assert parse_goal("size") == "size"
    assert parse_names("a, b") == ("a", "b")
    with pytest.raises(InvalidRequest, match="latency, throughput, memory, size"):
        parse_goal("speed")
    with pytest.raises(InvalidRequest):
        parse_names(" ,")


@pytest.mark.long
@pytest.mark.slow
def test_a_real_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pixelis", "bench", "formats", "--models", "dynamics", "--formats", "onnx"]
    command += ["--precisions", "fp32", "--checkpoint", "nano", "--rounds", "1", "--turn-s", "0.02", "--json"]
    env = {**os.environ, "PIXELIS_STATE": str(tmp_path / "state"), "PIXELIS_REPOSITORY": str(tmp_path / "models")}
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    assert run.returncode == 0, run.stderr
    measured = Measurement.model_validate(json.loads(run.stdout))
    assert measured.name == "bench formats"
    form = next(row for row in measured.rows if row["row"] == "form" and row["state"] == "measured")
    assert (form["model"], form["candidate"], form["chosen"]) == ("dynamics", "onnx-fp32", True)
    timings = [row for row in measured.rows if row["row"] == "timing"]
    assert [row["case"] for row in timings] == ["batch 1", "batch 4", "batch 8"]
    assert all(0 < row["p50_ms"] <= row["p99_ms"] for row in timings)
