"""The watchdog on a real Triton with tiny services: what it repairs, what it leaves alone, and who may load."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpc

from pixelis.errors import ServingError
from pixelis.settings import Settings
from server import stubs
from server.control import Control
from server.doctor import examine
from server.embedded import EmbeddedTriton
from server.launch import KEY_NAME
from tests.triton.tiny.conftest import SERVICES
from tests.waiting import until

pytestmark = [pytest.mark.triton, pytest.mark.timeout(120)]


@pytest.fixture
def watched(config: Settings, tmp_path: Path) -> Iterator[EmbeddedTriton]:
    """`echo`, `sticks` and `parent`-less friends, impatiently watched; their files may be broken."""
    shutil.copytree(SERVICES, tmp_path / "services", ignore=shutil.ignore_patterns("__pycache__"))
    server = config.server.model_copy(update={"watchdog_interval_s": 0.5, "hung_after_s": 2.0})
    given = config.model_copy(update={"repository": tmp_path / "services", "server": server})
    triton = EmbeddedTriton(config=given).start(["echo", "sticks"])
    yield triton
    triton.stop()


def ask(triton: EmbeddedTriton, model: str, value: float, timeout_s: float = 20) -> float:
    tensor = grpc.InferInput("IN", [1, 1], "FP32")
    tensor.set_data_from_numpy(np.array([[value]], np.float32))
    with grpc.InferenceServerClient(triton.grpc_url) as client:
        result = client.infer(model, [tensor], client_timeout=timeout_s).as_numpy("OUT")
    assert result is not None
    return float(result[0, 0])


def kill(triton: EmbeddedTriton, model: str) -> None:
    for stub in stubs.find(triton.server_id)[model]:
        os.kill(stub.pid, signal.SIGKILL)


def repairs(triton: EmbeddedTriton, model: str) -> int:
    assert triton.health is not None
    return triton.health[model].repairs


def said(triton: EmbeddedTriton) -> dict[str, tuple[str, str]]:
    """What `pixelis doctor` finds."""
    return {finding.name: (finding.level, finding.detail) for finding in examine(triton.config)}


def test_a_dead_model_is_loaded_again_and_it_is_told_everywhere(watched: EmbeddedTriton) -> None:
    assert said(watched)["models"] == ("ok", "1 models answer; repaired: none")
    kill(watched, "echo")
    assert until(lambda: repairs(watched, "echo") == 1)
    assert ask(watched, "echo", 5) == 5
    log = watched.log.read_text()
    assert 'watchdog] "model `echo`: a process of it has died' in log
    assert 'watchdog] "model `echo` answers again after' in log
    assert said(watched)["models"] == ("ok", "1 models answer; repaired: echo 1")
    metrics = (watched.state / "health" / f"{watched.ports.http}.prom").read_text()
    assert re.search(r'pixelis_repairs_total\{model="echo",server=".+:18100"\} 1\n', metrics)
    assert re.search(r'pixelis_repairs_total\{model="sticks",server=".+:18100"\} 0\n', metrics)
    watched.stop()
    assert list((watched.state / "health").iterdir()) == []


def test_a_model_that_keeps_dying_is_repaired_every_time(watched: EmbeddedTriton) -> None:
    for time in (1, 2, 3):
        kill(watched, "echo")
        assert until(lambda time=time: repairs(watched, "echo") == time, 20)  # type: ignore[misc]
    assert ask(watched, "echo", 5) == 5


def test_a_hung_model_is_loaded_again(watched: EmbeddedTriton) -> None:
    with pytest.raises(grpc.InferenceServerException):
        ask(watched, "sticks", 13, timeout_s=1)
    assert until(lambda: repairs(watched, "sticks") == 1, 30)
    assert ask(watched, "sticks", 1) == 1
    assert "it hangs" in watched.log.read_text()
    assert repairs(watched, "echo") == 0


def test_a_busy_model_is_left_alone(watched: EmbeddedTriton) -> None:
    before = stubs.find(watched.server_id)
    with ThreadPoolExecutor(8) as pool:  # half a second each, one at a time: whoever is last waits for longer than 2 s
        assert list(pool.map(lambda _: ask(watched, "sticks", 2), range(16))) == [2.0] * 16
    assert repairs(watched, "sticks") == 0
    assert stubs.find(watched.server_id) == before


def test_a_model_that_cannot_be_loaded_again_is_said_to_be_dead_until_it_can(watched: EmbeddedTriton) -> None:
    shim = watched.repository / "sticks" / "1" / "model.py"
    good = shim.read_text()
    shim.write_text("this is no Python")
    kill(watched, "sticks")
    assert watched.health is not None
    assert until(lambda: watched.health is not None and watched.health["sticks"].state == "dead")
    assert "SyntaxError" in str(watched.health["sticks"].reason)
    level, detail = said(watched)["models"]
    assert (level, "`sticks` is dead" in detail) == ("missing", True)
    # Between two attempts it is dead, during one it is being repaired.
    assert until(lambda: "could not be repaired" in said(watched).get("repair", ("", ""))[1])
    assert ask(watched, "echo", 5) == 5
    shim.write_text(good)
    assert until(lambda: repairs(watched, "sticks") == 1, 30)
    assert ask(watched, "sticks", 1) == 1
    assert watched.health["sticks"].state == "healthy"


def test_a_model_that_is_unloaded_on_purpose_stays_so(watched: EmbeddedTriton) -> None:
    key = {f"triton-grpc-protocol-{KEY_NAME}": watched.key}
    with grpc.InferenceServerClient(watched.grpc_url) as client:
        client.unload_model("echo", headers=key)
        assert until(lambda: not client.is_model_ready("echo"))
        assert not until(lambda: client.is_model_ready("echo"), 3)
        assert repairs(watched, "echo") == 0
        client.load_model("echo", headers=key)
    assert ask(watched, "echo", 5) == 5
    kill(watched, "echo")
    assert until(lambda: repairs(watched, "echo") == 1)


def test_loading_needs_the_key_on_both_protocols(watched: EmbeddedTriton) -> None:
    file = watched.state / "servers" / f"{watched.server_id}.key"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (watched.key, 0o600)
    stranger = Control(watched.grpc_url, "guessed")
    for refused in (lambda: stranger.load("echo", 5), stranger.unloaded):
        with pytest.raises(ServingError, match="restricted"):
            refused()
    stranger.close()
    url = f"http://{watched.http_url}/v2/repository/models/echo/unload"
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=10)
    assert refusal.value.code == 403
    keyed = urllib.request.Request(f"http://{watched.http_url}/v2/repository/index", b"{}", {KEY_NAME: watched.key})
    with urllib.request.urlopen(keyed, timeout=10) as response:
        assert response.status == 200
    assert ask(watched, "echo", 5) == 5
    watched.stop()
    assert not file.exists()


def test_without_a_watchdog_doctor_still_asks(watched: EmbeddedTriton) -> None:
    watched.stop()
    alone = watched.config.model_copy(update={"server": watched.config.server.model_copy(update={"watchdog": False})})
    with EmbeddedTriton(models=["sticks"], config=alone) as triton:
        assert said(triton)["models"] == ("ok", "1 models answer; no watchdog")
        kill(triton, "sticks")
        assert said(triton)["models"][0] == "missing"
        assert triton.ready()  # and Triton says that all is well
