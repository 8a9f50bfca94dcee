"""The real perf_analyzer against a real Triton whose models refuse what the real ones could not read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from perf import perf_analyzer
from perf.requests import input_data
from perf.sweep.load import Load
from perf.sweep.stamps import stamps
from perf.sweep.windows import figures
from perf.sweep_commands import _rates
from pixelis.errors import InvalidRequest, NotFound, ServingError, SetupError, Unavailable
from pixelis.schema import Measurement
from pixelis.settings import Server, Settings, settings
from server.doctor import examine
from server.embedded import EmbeddedTriton
from tests.marked import long

ROOT = Path(__file__).resolve().parents[2]
PORTS = Server(http_port=18103, grpc_port=18104, metrics_port=18105)


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    state = tmp_path_factory.mktemp("state")
    repository = Path(__file__).parent / "repository"
    with EmbeddedTriton(config=Settings(state=state, repository=repository, server=PORTS)) as server:
        yield server


@pytest.fixture(scope="module")
def tool() -> perf_analyzer.PerfAnalyzer:
    try:
        return perf_analyzer.obtain(settings().state)
    except SetupError as error:
        pytest.skip(f"perf_analyzer is not to be had here: {error}")


def sweep(*arguments: str) -> subprocess.CompletedProcess[str]:
    ports = {"PIXELIS_SERVER__HTTP_PORT": str(PORTS.http_port), "PIXELIS_SERVER__GRPC_PORT": str(PORTS.grpc_port)}
    command = [sys.executable, "-m", "pixelis", "sweep", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **ports}, capture_output=True, text=True, check=False)


@pytest.mark.triton
@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("model", ["pixelis", "knn", long("embed_image")])
def test_sweeps(triton: EmbeddedTriton, tool: perf_analyzer.PerfAnalyzer, model: str, protocol: str) -> None:
    done = sweep(model, "--protocol", protocol, "--concurrency", "1,4", "--request-count", "30", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    measured = Measurement.model_validate_json(done.stdout)
    assert [row["concurrency"] for row in measured.rows] == [1, 4]
    assert measured.versions["perf_analyzer"] == tool.version
    for row in measured.rows:
        assert (row["model"], row["protocol"], row["requests"]) == (model, protocol, 30)
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        # Closed loop (Little's law): what is answered a second times what an answer takes is what is in flight.
        in_flight = row["throughput_per_s"] * row["mean_ms"] / 1e3
        assert 0.4 * row["concurrency"] < in_flight < 1.15 * row["concurrency"]


@pytest.mark.triton
def test_a_request_that_the_model_refuses_fails_with_its_reason(
    triton: EmbeddedTriton, tool: perf_analyzer.PerfAnalyzer, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.json"
    zeros = {"content": [0] * (224 * 224 * 3), "shape": [224, 224, 3]}
    bad.write_text(json.dumps({"data": [{"IMAGE": zeros}]}))
    done = sweep("embed_image", "--input-data", str(bad), "--json")
    assert done.returncode == 1
    assert "an image without content" in json.loads(done.stdout)["error"]


def test_no_server_is_said_with_its_mend(tool: perf_analyzer.PerfAnalyzer) -> None:
    with pytest.raises(Unavailable, match="pixelis serve"):
        tool.run(["-m", "knn", "-i", "grpc", "-u", "127.0.0.1:18109", "--request-count", "1"], 60)


def test_one_on_path_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "perf_analyzer"
    program.write_text("#!/bin/sh\necho 'Perf Analyzer Version 2.61.0 (commit 1)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = perf_analyzer.obtain(tmp_path / "state")
    assert (found.binary, found.libraries, found.version) == (program, None, "2.61.0")
    assert not (tmp_path / "state").exists()
    (finding,) = [one for one in examine(settings()) if one.name == "perf_analyzer"]
    assert str(program) in finding.detail


def test_requests_of_other_models_must_be_given() -> None:
    with pytest.raises(NotFound, match="--input-data"):
        input_data("dynamics")


def test_bytes_carry_their_length_and_floats_a_point() -> None:
    import base64

    framed = base64.b64decode(input_data("pixelis")["data"][0]["IMAGE"]["b64"])
    assert int.from_bytes(framed[:4], "little") == len(framed) - 4
    assert framed[4:6] == b"\xff\xd8"  # JPEG
    key = json.loads(json.dumps(input_data("knn")["data"][0]["KEY"]["content"]))
    assert all(isinstance(number, float) for number in key)
    assert np.linalg.norm(key) == pytest.approx(1)


@pytest.mark.parametrize("text", ["", "0", "1,x", "-1", "inf", "nan"])
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest, match="request-rate"):
        _rates(text)


def test_a_rate_and_workers_are_not_said_together() -> None:
    done = sweep("knn", "--concurrency", "1", "--request-rate", "5", "--json")
    assert done.returncode == 1
    assert "Say one of them" in done.stdout


def test_stamps_are_found_beside_any_input_and_across_blocks(tmp_path: Path) -> None:
    inputs = b'{"TEXT":"\xff\xfe \\"timestamp\\":5, \\"response_timestamps\\":[7]' + b"," * 300 + b'"}'
    record = b'{"timestamp":%d,"request_inputs":%b,"response_timestamps":[%d,%d],"response_outputs":[]}'
    sent = list(range(10**18, 10**18 + 9000))
    export = tmp_path / "export.json"
    export.write_bytes(b",".join(record % (t, inputs, t + 1, t + 2) for t in reversed(sent)))
    assert export.stat().st_size > 2 << 20
    begin, end = stamps(export)
    assert begin.tolist() == sent
    assert end.tolist() == [t + 2 for t in sent]
    export.write_bytes(b"{}")
    with pytest.raises(ServingError):
        stamps(export)


def test_warm_up_is_not_counted() -> None:
    sent = np.array([0, 1000, 1010, 1020]) * 10**6
    answered = np.array([900, 1010, 1020, 1030]) * 10**6
    warm = Load("knn", "grpc", "x", 3).warm(1)
    found = figures(sent[warm:], answered[warm:])
    assert (found["requests"], found["mean_ms"], found["throughput_per_s"]) == (3, 10.0, 100.0)
    assert found["stable"] is None  # so few say nothing


@pytest.mark.parametrize(
    ("slower", "stable"), [(1.0, True), (1.1, True), (2.0, False)], ids=["alike", "a little", "half of the time"]
)
def test_whether_it_had_settled(slower: float, stable: bool) -> None:
    took = np.full(80, 10 * 10**6)
    took[40:] = (slower * took[40:]).astype(np.int64)
    answered = np.cumsum(took)
    found = figures(answered - took, answered)
    assert found["stable"] is stable
    assert found["unstable_by"] == pytest.approx((slower - 1) / (slower + 1), abs=0.01)


def test_chance_alone_does_not_unsettle() -> None:
    drawn = np.random.default_rng(0).lognormal(16, 0.6, (200, 40)).astype(np.int64)
    found = [figures(np.cumsum(took) - took, np.cumsum(took)) for took in drawn]
    assert np.mean([one["stable"] is False for one in found]) < 0.03
    assert np.mean([one["unstable_by"] > 0.1 for one in found]) > 0.8  # which alone would have said so of most


def test_what_perf_analyzer_is_told() -> None:
    closed = Load("knn", "grpc", "x:1", 30).arguments(4)
    assert closed[closed.index("--concurrency-range") + 1] == "4:4:1"
    assert closed[closed.index("--request-count") + 1] == "34"
    opened = Load("agent", "grpc", "x:1", 30, "poisson", "system", streaming=True).arguments(2.5)
    assert opened[opened.index("--request-rate-range") + 1] == "2.5:2.5:1"
    assert opened[opened.index("--request-distribution") + 1] == "poisson"
    assert "--streaming" in opened


@pytest.mark.triton
@pytest.mark.parametrize(
    "asked",
    [
        ("knn", "--request-rate", "50", "--request-count", "40"),
        ("knn", "--request-rate", "50", "--distribution", "constant", "--request-count", "40"),
        ("embed_image", "--shared-memory", "system", "--concurrency", "2", "--request-count", "20"),
    ],
)
def test_rates_and_shared_memory(
    triton: EmbeddedTriton, tool: perf_analyzer.PerfAnalyzer, asked: tuple[str, ...], tmp_path: Path
) -> None:
    written = ("--html", str(tmp_path / "sweep.html"), "--csv", str(tmp_path / "sweep.csv"))
    done = sweep(*asked, *written, "--attempts", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = Measurement.model_validate_json(done.stdout).rows
    if "sent_per_s" in row:
        assert 20 < row["throughput_per_s"] < 100  # as many as were sent
    assert (tmp_path / "sweep.csv").read_text().count("\n") == 2
    assert "<svg" in (tmp_path / "sweep.html").read_text()
