"""`pixelis load` on a real server and a real gateway. Ports 18190 to 18195."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixelis.schema import Measurement
from server.embedded import EmbeddedTriton
from tests.triton.built import configured, link_repository
from tests.triton.gateways import gateway

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

PORT = 18190
ROOT = Path(__file__).resolve().parents[2]
SCENARIO = """
description: One of each.
users:
  - {name: asks, kind: ask, repeated: 1.0}
  - {name: streams, kind: stream, repeated: 1.0}
  - {name: comes by REST, kind: rest, repeated: 1.0}
  - {name: goes, kind: leave}
  - {name: sends nonsense, kind: broken}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    folder = tmp_path_factory.mktemp("load")
    with EmbeddedTriton(config=configured(PORT, link_repository(folder / "models"), folder / "state")) as triton:
        yield triton


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PIXELIS_STATE": str(tmp_path)}
    command = [sys.executable, "-m", "pixelis", "load", *arguments]
    return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)


def test_every_kind_of_user(served: EmbeddedTriton, tmp_path: Path) -> None:
    file, report = tmp_path / "mine.yaml", tmp_path / "report.html"
    file.write_text(SCENARIO)
    with gateway(PORT + 4, served, tmp_path) as url:
        arguments = ["--url", served.grpc_url, "--gateway", url, "--users", "5", "--seconds", "8", "--fail-over", "0"]
        done = run(tmp_path, str(file), *arguments, "--html", str(report), "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {row["name"]: row for row in Measurement.model_validate_json(done.stdout).rows}
    assert set(rows) == {"asks", "streams", "streams, first event", "comes by REST", "goes", "sends nonsense"}
    assert all(row["requests"] > 0 and row["failed"] == 0 for row in rows.values())
    assert "sends nonsense" in report.read_text()


def test_several_machines(served: EmbeddedTriton, tmp_path: Path) -> None:
    """A master that asks nobody, and two workers, each a process as on a machine of its own."""
    file = tmp_path / "mine.yaml"
    file.write_text("{description: Known, users: [{name: asks, kind: ask, repeated: 1.0}]}", encoding="utf-8")
    told = {"PIXELIS_LOAD_SCENARIO": str(file), "PIXELIS_LOAD_GRPC": served.grpc_url, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "perf.load"]
    master = [*line, "--master", "--master-bind-port", str(PORT + 5), "--headless", "--expect-workers", "2"]
    master += ["--users", "4", "--spawn-rate", "4", "--run-time", "5s", "--json-file", str(tmp_path / "counted")]
    worker = [*line, "--worker", "--master-host", "127.0.0.1", "--master-port", str(PORT + 5)]
    with contextlib.ExitStack() as started:
        environment = {**os.environ, **told}
        for command in (worker, worker):
            process = started.enter_context(
                subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
            )
            started.callback(process.kill)
        done = subprocess.run(master, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 workers connected" in done.stderr
    (row,) = json.loads((tmp_path / "counted.json").read_text(encoding="utf-8"))
    assert (row["name"], row["num_failures"]) == ("asks", 0)
    assert row["num_requests"] > 0


def test_nobody_is_there(tmp_path: Path) -> None:
    done = run(tmp_path, "unique", "--url", "127.0.0.1:18193", "--seconds", "5")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No server takes questions at 127.0.0.1:18193" in done.stderr


def test_a_gateway_that_is_not_there(served: EmbeddedTriton, tmp_path: Path) -> None:
    done = run(tmp_path, "rest", "--url", served.grpc_url, "--gateway", "127.0.0.1:18193", "--seconds", "5")
    assert done.returncode == 1
    assert "No gateway answers at 127.0.0.1:18193" in done.stderr
