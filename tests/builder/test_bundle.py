"""A bundle runs by itself: numpy, one executor, and the code beside it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from builder.choosing.bundle import write_bundle
from builder.choosing.bundle_run import WITHIN
from builder.choosing.optimise import optimise
from builder.costing.timing import Turns
from builder.measure import Plan
from pixelis.errors import BuildError
from tests.builder.conftest import Place

NEEDED = ("numpy", "numpy.libs", "onnxruntime", "onnxruntime.libs", "packaging", "flatbuffers", "google")
NEEDED += ("pydantic_core", "typing_extensions.py")


def bundle(place: Place, output: Path) -> None:
    key = place.store.manifest("alpha").key
    write_bundle(place.store, place.known, {"alpha": key}, output)


def alone(output: Path, packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a Python whose only packages are those that the bundle asks for; ours are not among them."""
    origin = importlib.util.find_spec("numpy")
    assert origin is not None
    site = Path(str(origin.origin)).parents[1]
    packages.mkdir(exist_ok=True)
    for name in NEEDED:
        if (site / name).exists() and not (packages / name).exists():
            (packages / name).symlink_to(site / name)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-S", str(output / "run.py"), *arguments]
    env["PYTHONPATH"] = str(packages)
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", check=False)


def test_it_runs_without_our_package(built: Place, tmp_path: Path) -> None:
    output = tmp_path / "edge"
    bundle(built, output)
    assert (output / "requirements.txt").read_text().splitlines()[0].startswith("numpy==")
    listed = alone(output, tmp_path / "site")
    assert listed.stdout.startswith("alpha (onnx-fp32, onnxruntime): X float32[1, 6] -> SCORES"), listed.stderr
    checked = alone(output, tmp_path / "site", "--check")
    assert (checked.returncode, checked.stdout) == (0, "alpha: answers as it did when it was built\n"), checked.stderr
    x = np.ones((2, 6), np.float32)
    np.save(tmp_path / "x.npy", x)
    answer = tmp_path / "answer.npz"
    run = alone(output, tmp_path / "site", "alpha", "--input", f"X={tmp_path / 'x.npy'}", "--output", str(answer))
    assert run.returncode == 0, run.stderr
    assert np.load(answer)["SCORES"] == pytest.approx(x @ np.load(built.root / "alpha.npy"), rel=1e-4)
    assert not list((output / "lib").rglob("adapter*"))


def test_a_changed_artifact_fails_its_check(built: Place, tmp_path: Path) -> None:
    output = tmp_path / "edge"
    bundle(built, output)
    sample = dict(np.load(output / "models" / "alpha" / "sample.npz"))
    sample["out.SCORES"] = sample["out.SCORES"] + 10 * WITHIN * np.abs(sample["out.SCORES"]).max()
    np.savez(output / "models" / "alpha" / "sample.npz", **sample)
    checked = alone(output, tmp_path / "site", "--check")
    assert checked.returncode == 1
    assert "SCORES is off by" in checked.stdout


def test_a_folder_with_content_is_left_alone(built: Place, tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge" / "mine.txt").touch()
    with pytest.raises(BuildError, match="there already"):
        bundle(built, tmp_path / "edge")
    assert [path.name for path in (tmp_path / "edge").iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_the_preset_writes_one_and_publishes_nothing(place: Place, tmp_path: Path) -> None:
    report = optimise(
        ["alpha"],
        preset="edge",
        output=tmp_path / "edge",
        repository=place.store.repository,
        state=place.store.state,
        spec=place.known,
        plan=Plan(Turns(rounds=1, turn_s=0.01, calls=3)),
    )
    assert report.bundle is not None
    assert [one.candidate for one in report.bundle.models] == ["onnx-fp32"]
    assert place.store.versions("alpha") == [1]
    assert json.loads((tmp_path / "edge" / "bundle.json").read_text())["models"][0]["model"] == "alpha"
