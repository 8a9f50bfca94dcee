"""The embedded Triton, for real: it serves, it says why it cannot, and whatever is killed leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpc

from pixelis.errors import NotFound, SetupError
from pixelis.settings import Settings
from server import remains
from server.embedded import EmbeddedTriton, Progress
from tests.triton.tiny.conftest import HTTP, SERVICES, processes, regions
from tests.waiting import until

pytestmark = pytest.mark.triton

HOLDER = """
import sys, time
from server.embedded import EmbeddedTriton
triton = EmbeddedTriton().start(["echo"])
print(triton._supervisor.pid, flush=True)
time.sleep(600)
"""


def ask(url: str, model: str, values: list[float]) -> np.ndarray:
    tensor = grpc.InferInput("IN", [1, len(values)], "FP32")
    tensor.set_data_from_numpy(np.array([values], np.float32))
    with grpc.InferenceServerClient(url) as client:
        result = client.infer(model, [tensor], client_timeout=20).as_numpy("OUT")
    assert result is not None
    return result


def test_starts_serves_and_leaves_nothing(triton: EmbeddedTriton, config: Settings) -> None:
    seen: list[Progress] = []
    triton.start(["echo", "environment"], progress=seen.append)
    assert triton.running
    assert triton.ready()
    assert set(seen[-1].loaded) == {"echo", "environment"}
    assert ask(triton.grpc_url, "echo", [1, 2]).tolist() == [[1, 2]]

    letters = ask(triton.grpc_url, "environment", [0])
    inside = json.loads(letters.astype(np.uint8).tobytes())
    assert inside["prefix"] == sys.prefix
    assert inside["PIXELIS_STATE"] == str(config.state)
    assert inside["PIXELIS_REPOSITORY"] == str(SERVICES)
    assert inside["OMP_NUM_THREADS"] == "1"
    assert inside["numpy"].startswith("1.")

    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    for port in (triton.ports.http, triton.ports.grpc, triton.ports.metrics):
        assert f"0100007F:{port:04X}" in listening  # 127.0.0.1
        assert f"00000000:{port:04X}" not in listening
    assert "Started HTTPService" in triton.log.read_text()
    triton.stop()
    assert not triton.running
    assert regions() == []
    assert processes() == []
    assert list((config.state / "servers").iterdir()) == []
    triton.stop()  # a second one does nothing


def test_a_model_that_does_not_load_is_named_with_its_reason(triton: EmbeddedTriton) -> None:
    with pytest.raises(
        SetupError, match=r"`raises` does not load: ValueError: the weights are of another shape"
    ) as caught:
        triton.start(["parent"])
    assert str(triton.log) in str(caught.value.mend)
    assert regions() == []
    assert processes() == []


def test_what_can_be_known_before_is_said_before(triton: EmbeddedTriton, config: Settings, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"unbuilt: no model\.onnx in version 1") as unbuilt:
        triton.start(["echo", "unbuilt"])
    assert "pixelis build" in str(unbuilt.value.mend)
    with pytest.raises(NotFound, match="No model nowhere") as unknown:
        triton.start(["nowhere"])
    assert "echo" in str(unknown.value.mend)
    with pytest.raises(SetupError, match="no model repository"):
        EmbeddedTriton(tmp_path / "absent", config=config).start()


def test_a_model_brings_what_it_calls(triton: EmbeddedTriton) -> None:
    triton.start(["calls"])
    with grpc.InferenceServerClient(triton.grpc_url) as client:
        assert client.is_model_ready("echo")
        assert not client.is_model_ready("dies")


def test_a_busy_port_is_named(triton: EmbeddedTriton) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", HTTP))
        taken.listen()
        with pytest.raises(
            SetupError, match=rf"http port {HTTP} on 127.0.0.1 is not free.*process {os.getpid()}"
        ) as caught:
            triton.start(["echo"])
    assert "--http-port" in str(caught.value.mend)


def test_not_ready_in_time_says_what_still_loads(triton: EmbeddedTriton) -> None:
    with pytest.raises(SetupError, match="still loading: slow"):
        triton.start(["echo", "slow"], timeout_s=1.5)


def test_a_service_that_hangs_at_the_end_and_its_own_child_are_killed(triton: EmbeddedTriton) -> None:
    triton.start(["hangs"])
    assert len(processes()) >= 3  # the server, the stub, the stub's child
    begin = time.monotonic()
    triton.stop()
    assert time.monotonic() - begin < 10
    assert regions() == []
    assert processes() == []


def test_a_service_that_dies_in_a_request_fails_the_request_only(triton: EmbeddedTriton) -> None:
    triton.start(["echo", "dies"])
    with pytest.raises(grpc.InferenceServerException):
        ask(triton.grpc_url, "dies", [1])
    assert ask(triton.grpc_url, "echo", [3]).tolist() == [[3]]


def test_a_killed_server_is_noticed_and_swept(triton: EmbeddedTriton) -> None:
    triton.start(["echo"])
    server = next(pid for pid in processes() if "tritonserver" in Path(f"/proc/{pid}/cmdline").read_text())
    os.kill(server, signal.SIGKILL)
    assert triton.wait(30) == 128 + signal.SIGKILL
    assert not triton.running
    assert regions() == []
    assert processes() == []


def hold(environment: dict[str, str]) -> tuple[subprocess.Popen[str], int]:
    """A process with a running Triton, and its supervisor's id."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], env=environment, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    return holder, int(holder.stdout.readline())


def test_a_killed_parent_takes_everything_with_it(
    triton: EmbeddedTriton, config: Settings, child_environment: dict[str, str]
) -> None:
    holder, _ = hold(child_environment)
    (record,) = remains.records(config.state / "servers").values()
    assert remains.of(record.server_id).regions
    holder.kill()
    holder.communicate()
    assert until(lambda: any(one.stopping for one in remains.records(config.state / "servers").values()))
    triton.start(["echo"])  # waits until the ports are free again
    left = remains.of(record.server_id)
    assert (left.processes, left.regions) == ([], [])
    assert ask(triton.grpc_url, "echo", [6]).tolist() == [[6]]


def test_a_killed_parent_and_supervisor_are_cleaned_up_by_the_next_start(
    triton: EmbeddedTriton, config: Settings, child_environment: dict[str, str]
) -> None:
    holder, supervisor = hold(child_environment)
    os.kill(supervisor, signal.SIGSTOP)  # so that it cannot clean up between the two kills
    holder.kill()
    holder.communicate()
    os.kill(supervisor, signal.SIGKILL)
    assert until(lambda: remains.born(supervisor) is None)
    left = remains.left_behind(config.state / "servers")
    assert len(left) == 1
    assert left[0].record is not None
    before = left[0].server_id
    triton.start(["echo"])
    assert not any(name.startswith(before) for name in regions())
    assert before not in remains.marked()
    assert ask(triton.grpc_url, "echo", [4]).tolist() == [[4]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_cleanly(child_environment: dict[str, str], number: signal.Signals) -> None:
    command = [sys.executable, "-m", "pixelis", "serve", "--models", "echo", "--json"]
    served = subprocess.Popen(command, env=child_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert served.stdout is not None
    endpoints = json.loads(served.stdout.readline())
    assert ask(endpoints["grpc"], "echo", [5]).tolist() == [[5]]
    served.send_signal(number)
    _, said = served.communicate(timeout=20)
    assert served.returncode == 0
    assert "Traceback" not in said
    assert regions() == []
    assert processes() == []


def test_serve_starts_a_killed_triton_again(child_environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pixelis", "serve", "--models", "echo", "--json"]
    served = subprocess.Popen(command, env=child_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert served.stdout is not None
    endpoints = json.loads(served.stdout.readline())
    first = set(processes())
    server = next(pid for pid in first if "tritonserver" in Path(f"/proc/{pid}/cmdline").read_text())
    os.kill(server, signal.SIGKILL)
    assert until(lambda: not first & set(processes()))

    def answers() -> bool:
        try:
            return ask(endpoints["grpc"], "echo", [7]).tolist() == [[7]]
        except grpc.InferenceServerException:
            return False

    assert until(answers, 60)
    served.send_signal(signal.SIGINT)
    _, said = served.communicate(timeout=20)
    assert served.returncode == 0
    assert "Triton ended by itself (exit code 137); it is started again in 1 s" in said
    assert "Traceback" not in said


def test_ctrl_c_while_it_starts(child_environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pixelis", "serve", "--models", "slow"]
    served = subprocess.Popen(command, env=child_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert until(lambda: bool(regions()))
    served.send_signal(signal.SIGINT)
    _, said = served.communicate(timeout=20)
    assert served.returncode == 130
    assert "Traceback" not in said
