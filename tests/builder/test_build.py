"""A build does what is needed and no more, and nothing of it is ever half there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder.building.build import BuildReport
from builder.spec import Pipeline
from builder.storing.lock import exclusive
from builder.storing.manifest import Manifest
from pixelis.errors import BuildError, NotFound
from tests.builder.conftest import Place
from tests.builder.tiny import linear_spec, write_weights


def states(report: BuildReport) -> dict[str, str]:
    return {outcome.model: outcome.state for outcome in report.models}


def test_a_second_build_does_no_work_and_says_so(built: Place) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.root.rglob("*") if path.is_file()}
    report = built.build()
    assert states(report) == {"alpha": "up to date", "beta": "up to date"}
    assert not report.worked
    assert {path: path.stat().st_mtime_ns for path in built.root.rglob("*") if path.is_file()} == before


def test_the_manifest_says_what_was_made_of_what(built: Place) -> None:
    manifest = built.store.manifest("alpha")
    assert manifest.version == 2
    assert manifest.gate.passed
    assert set(manifest.gate.outputs) == {"SCORES", "CHOICE"}
    assert set(manifest.files) == {"model.onnx", "model.py"}
    assert manifest.libraries["onnx"] != "absent"
    assert manifest.gate.outputs["SCORES"].alone is not None
    assert [tensor.name for tensor in manifest.inputs] == ["X"]
    assert not built.store.faults("alpha", 2)


def test_a_changed_source_rebuilds_just_that_model(built: Place) -> None:
    old = built.store.folder("alpha", 2).joinpath("model.onnx").read_bytes()
    write_weights(built.root / "alpha.npy", seed=7)
    report = built.build()
    assert states(report) == {"alpha": "built", "beta": "up to date"}
    assert built.store.versions("alpha") == [1, 2, 3]
    assert built.store.folder("alpha", 2).joinpath("model.onnx").read_bytes() == old


def test_serving_settings_rebuild_nothing_but_the_config(built: Place) -> None:
    patient = linear_spec("alpha", Path(built.known["alpha"].arguments["weights"]), queue_delay_us=300, instances=2)
    report = built.build(known=built.with_model(patient))
    assert states(report) == {"alpha": "up to date", "beta": "up to date"}
    assert report.written == ["alpha"]


def test_a_wiped_repository_is_refilled_from_the_cache(built: Place) -> None:
    digest = built.store.manifest("alpha").digest
    for name in ("alpha", "beta"):
        shutil.rmtree(built.store.folder(name, 2))
    report = built.build()
    assert states(report) == {"alpha": "from cache", "beta": "from cache"}
    assert built.store.manifest("alpha").digest == digest


def test_a_damaged_version_is_replaced_and_kept(built: Place) -> None:
    damaged = built.store.folder("alpha", 2) / "model.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert states(built.build("alpha")) == {"alpha": "from cache"}
    assert built.store.latest("alpha") == 3
    assert not built.store.faults("alpha", 3)


def test_a_damaged_cache_is_no_answer(built: Place) -> None:
    shutil.rmtree(built.store.folder("alpha", 2))
    cached = built.store.builds / built.store.manifest("beta").key / "model.onnx"
    shutil.rmtree(built.store.folder("beta", 2))
    cached.write_bytes(b"not a graph")
    assert states(built.build()) == {"alpha": "from cache", "beta": "built"}


def test_a_changed_shim_is_published_again_without_exporting(built: Place) -> None:
    shim = built.store.shim("alpha")
    shim.write_text(f"# another comment\n{shim.read_text()}")
    assert states(built.build()) == {"alpha": "from cache", "beta": "up to date"}
    assert (built.store.folder("alpha", 3) / "model.py").read_text() == shim.read_text()


def test_force_makes_again(built: Place) -> None:
    assert states(built.build("alpha", force=True)) == {"alpha": "built"}
    assert built.store.latest("alpha") == 3


def test_a_refused_artifact_is_not_published_and_its_numbers_are_kept(built: Place) -> None:
    wrong = built.with_model(linear_spec("alpha", Path(built.known["alpha"].arguments["weights"]), "Wrong"))
    report = built.build(known=wrong)
    assert states(report) == {"alpha": "failed", "beta": "up to date"}
    (failed,) = report.failed
    assert failed.code == "gate_failed"
    assert "SCORES" in (failed.reason or "")
    assert built.store.latest("alpha") == 2
    kept = Manifest.read_file(built.root / "state/logs/gate-alpha-onnx-fp32.json")
    assert not kept.gate.passed
    assert kept.gate.outputs["SCORES"].against_source.max_abs
    assert not built.leftovers()


def test_a_native_crash_takes_one_model_down_and_is_reproducible(built: Place) -> None:
    weights = Path(built.known["alpha"].arguments["weights"])
    write_weights(built.root / "other.npy", seed=3)
    crashing = Pipeline(
        models=(linear_spec("alpha", weights, "Crashing"), linear_spec("beta", built.root / "other.npy"))
    )
    report = built.build(known=crashing)
    assert states(report) == {"alpha": "failed", "beta": "built"}
    reason = report.failed[0].reason or ""
    assert "SIGSEGV" in reason
    assert "-m builder.build_one alpha --candidate onnx-fp32 --out" in reason


def test_missing_source_files(built: Place) -> None:
    gone = built.root / "gone.npy"
    optional = built.with_model(linear_spec("alpha", gone, required=False))
    assert states(built.build(known=optional))["alpha"] == "absent"
    report = built.build(known=built.with_model(linear_spec("alpha", gone)))
    assert str(gone) in (report.failed[0].reason or "")
    report = built.build(known=built.with_model(linear_spec("alpha", gone, "NoSuchClass")))
    assert "NoSuchClass" in (report.failed[0].reason or "")


def test_an_unknown_model_lists_the_known_ones(place: Place) -> None:
    with pytest.raises(NotFound, match="alpha, beta"):
        place.build("gamma")


def test_two_builds_at_once_are_refused(place: Place) -> None:
    place.store.builds.mkdir(parents=True)
    with (
        exclusive(place.store.builds),
        pytest.raises(BuildError, match=rf"Another build is at work .*\(process {os.getpid()}\)"),
    ):
        place.build()


def test_the_lock_of_a_killed_build_is_nobody_s(place: Place) -> None:
    code = "import sys, time; from pathlib import Path; from builder.storing.lock import exclusive\n"
    code += "with exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(place.store.builds)]
    root = Path(__file__).parents[2]
    holder = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BuildError, match=rf"process {holder.pid}"):
        place.build()
    holder.kill()
    holder.communicate()
    assert not place.build("alpha").failed


DRIVER = """
import sys
from pathlib import Path
from builder.building.build import build
from builder.spec import Pipeline
root = Path(sys.argv[1])
known = Pipeline.model_validate_json((root / "spec.json").read_text())
build(repository=root / "repository", state=root / "state", spec=known)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_is_killed_leaves_the_old_version_and_nothing_else(built: Place, how: signal.Signals) -> None:
    weights = write_weights(built.root / "slow.npy")
    slow = built.with_model(linear_spec("alpha", weights, "HalfWritten"))
    (built.root / "spec.json").write_text(slow.model_dump_json())
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": root}
    log = built.root / "driver.log"
    with log.open("w") as sink:
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(built.root)], env=env, stderr=sink)
    until(lambda: weights.with_suffix(".exporting").exists())
    (child,) = children(driver.pid)
    driver.send_signal(how)
    driver.wait(60)
    until(lambda: not alive(child))
    assert built.store.versions("alpha") == [1, 2]
    assert not built.store.faults("alpha", 2)
    assert states(built.build()) == {"alpha": "up to date", "beta": "up to date"}
    assert not built.leftovers()


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_one_model_by_hand(place: Place) -> None:
    spec, out = place.root / "spec.json", place.root / "out"
    spec.write_text(place.known.model_dump_json())
    command = [sys.executable, "-m", "builder.build_one", "alpha", "--out", str(out), "--spec", str(spec)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert run.stdout.split("\n")[:3] == ["stage: export", "stage: optimise", "stage: gate"], run.stderr
    assert json.loads((out / "manifest.json").read_text())["gate"]["passed"]
