"""The chart's verify.py: what was damaged on its way does not start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from builder.storing.manifest import records
from tests.deploy.chart import named, pod


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two models: one of code alone, one with two versions of which the older is damaged, which nobody serves."""
    for name in ("code", "built"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.pbtxt").write_text(f'name: "{name}"\n')
    (tmp_path / "code" / "1").mkdir()
    (tmp_path / "code" / "1" / "model.py").write_text("pass\n")
    for version in ("9", "10"):
        folder = tmp_path / "built" / version
        (folder / "tables").mkdir(parents=True)
        (folder / "model.py").write_text("pass\n")
        (folder / "tables" / "weights").write_bytes(bytes(range(200)))
        files = {name: record.model_dump() for name, record in records(folder).items()}
        (folder / "manifest.json").write_text(json.dumps({"model": "built", "files": files}))
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / "model.pyc").write_bytes(b"")
    (tmp_path / "built" / "9" / "model.py").unlink()
    return tmp_path


def verified(repository: Path) -> tuple[int, list[str]]:
    """How the container `verify` ends, and what it says."""
    script = named("cpu", "ConfigMap", "-triton")["data"]["verify.py"]
    (container,) = pod("cpu", "triton").spec["initContainers"]
    assert container["command"] == ["python3", "-I", "/etc/pixelis/verify.py", "/models"]
    file = repository.parent / f"{repository.name}-verify.py"
    file.write_text(script)
    command = [sys.executable, "-I", str(file), str(repository)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_a_whole_repository_passes(repository: Path) -> None:
    assert verified(repository) == (0, ["2 models, 1 with a manifest, 0 faults"])


def test_what_was_damaged_on_its_way_is_named(repository: Path) -> None:
    folder = repository / "built" / "10"
    (folder / "tables" / "weights").write_bytes(bytes(range(1, 201)))
    (folder / "model.py").unlink()
    (folder / "surplus").write_text("")
    code, said = verified(repository)
    assert (code, said[:-1]) == (
        1,
        [
            "built/10: model.py is missing",
            "built/10: surplus is not in the manifest",
            "built/10: tables/weights is not the file that was published",
        ],
    )


def test_a_manifest_that_was_cut_off_is_none(repository: Path) -> None:
    path = repository / "built" / "10" / "manifest.json"
    path.write_bytes(path.read_bytes()[:40])
    code, said = verified(repository)
    assert code == 1
    assert said[0].startswith("built/10: manifest.json is none")


def test_a_folder_without_models_is_no_repository(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    code, said = verified(empty)
    assert (code, len(said)) == (1, 1)
    assert "has no model" in said[0]
