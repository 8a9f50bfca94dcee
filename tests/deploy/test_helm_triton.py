"""A real Triton as the chart starts it: its flags are taken, its probes answered, and it ends when a model died."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpc

from tests.deploy.containers import until
from tests.deploy.tritons import GRPC, KEY, Triton, running

pytestmark = pytest.mark.triton
SERVICES = Path(__file__).parents[1] / "triton" / "tiny" / "repository"
CLOSED = [
    ("/v2/repository/index", "POST"),
    ("/v2/logging", "GET"),
    ("/v2/trace/setting", "GET"),
    ("/v2/systemsharedmemory/status", "GET"),
]
"""What needs the key."""


@pytest.fixture
def triton(tmp_path: Path) -> Iterator[Triton]:
    """It serves two small models."""
    for name in ("echo", "calls"):
        shutil.copytree(SERVICES / name, tmp_path / "repository" / name)
    (tmp_path / "state").mkdir()
    changed = {"WATCH_SECONDS": "1", "grpc_max_connection_age": "500"}
    with running("cpu", tmp_path / "repository", tmp_path / "state", **changed) as made:
        assert until(lambda: made.ready)
        yield made


def echoed(client: grpc.InferenceServerClient) -> bool:
    """Whether `echo` answers."""
    tensor = grpc.InferInput("IN", [1, 3], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 3), np.float32))
    return bool(client.infer("echo", [tensor], client_timeout=10).as_numpy("OUT").all())


def test_it_is_ready_closed_and_survives_the_end_of_connections(triton: Triton) -> None:
    assert triton.asked("/v2/health/live") == 200
    for path, method in CLOSED:
        assert (triton.asked(path, method), triton.asked(path, method, KEY)) == (403, 200), path
    assert triton.asked("/v2/models/echo/ready") == 200
    with grpc.InferenceServerClient(f"127.0.0.1:{GRPC}") as client:
        with pytest.raises(grpc.InferenceServerException, match="restricted"):
            client.get_model_repository_index()
        assert client.get_model_repository_index({"triton-grpc-protocol-pixelis-repository-key": KEY}).models
        end, answers = time.monotonic() + 2, 0
        while time.monotonic() < end:  # over several ends of the connection
            assert echoed(client)
            answers += 1
    assert answers > 20
    triton.process.send_signal(signal.SIGTERM)
    assert triton.process.wait(20) == 0


def test_it_ends_when_the_process_of_a_model_has_died_and_not_when_one_is_loaded_again(triton: Triton) -> None:
    assert sorted(triton.children().values()) == ["S", "S"]
    for _ in range(2):
        assert triton.asked("/v2/repository/models/calls/unload", "POST", KEY) == 200
        assert triton.asked("/v2/repository/models/calls/load", "POST", KEY) == 200
    time.sleep(3)  # three looks
    assert triton.ready
    victim = next(iter(triton.children()))
    os.kill(victim, signal.SIGKILL)
    assert until(lambda: triton.children().get(victim) == "Z", 5)
    assert triton.asked("/v2/health/ready") == 200  # so the probe would not see it
    assert until(lambda: triton.process.poll() is not None, 30)
    assert triton.process.returncode == 0
    assert "A model's process has died" in triton.log.read_text()
