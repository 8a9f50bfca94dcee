from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixelis.settings import Settings
from server import remains
from server.doctor import examine
from server.remains import Record

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "tests" / "triton" / "tiny" / "repository"


def doctor(state: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    environment = {**os.environ, "PIXELIS_STATE": str(state), "PIXELIS_REPOSITORY": str(SERVICES)}
    command = [sys.executable, "-m", "pixelis", "doctor", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_what_is_missing_has_a_mend_and_exit_1(tmp_path: Path) -> None:
    code, said = doctor(tmp_path)
    assert code == 1  # `unbuilt` is not built
    assert said["ok"] is False
    assert isinstance(said["findings"], list)
    missing = [finding for finding in said["findings"] if finding["level"] == "missing"]
    assert any("unbuilt" in finding["detail"] and "pixelis build" in finding["mend"] for finding in missing)
    assert all(finding["mend"] for finding in said["findings"] if finding["level"] != "ok")
    assert isinstance(said["settings"], dict)
    assert said["settings"]["state"] == str(tmp_path)


def test_leftovers_are_told_and_cleaned(tmp_path: Path) -> None:
    name = f"{remains.PREFIX}test-{os.getpid()}-"
    Record(name, 2**22 + 1, 1, (1, 2, 3), "log").write(tmp_path / "servers")
    (remains.SHM / f"{name}region").write_bytes(b"x")
    found = {finding.name: finding for finding in examine(Settings(state=tmp_path, repository=SERVICES))}
    assert found["leftovers"].level == "warning"
    assert "1 shared-memory region" in found["leftovers"].detail
    _, said = doctor(tmp_path, "--clean")
    assert said["cleaned"] == [{"server": name, "processes": [], "regions": [f"{name}region"]}]
    assert not (remains.SHM / f"{name}region").exists()


@pytest.mark.parametrize("intra_op", [1, 1000])
def test_more_threads_than_cores_is_a_warning(tmp_path: Path, intra_op: int) -> None:
    config = Settings(state=tmp_path, repository=SERVICES)
    config.threads.intra_op = intra_op
    found = {finding.name: finding for finding in examine(config)}
    assert found["threads"].level == ("ok" if intra_op == 1 else "warning")


def test_what_was_tuned_is_told(tmp_path: Path) -> None:
    (tmp_path / "tuned.toml").write_text("[decoding]\nslots = 4\n", encoding="utf-8")
    found = {finding.name: finding for finding in examine(Settings(state=tmp_path, repository=SERVICES))}
    assert str(tmp_path / "tuned.toml") in found["tuned"].detail
