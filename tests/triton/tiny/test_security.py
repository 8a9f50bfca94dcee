"""What a neighbour on the machine gets of a server that is not his. Ports of conftest.py."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

from pixelis.settings import Settings
from server import remains
from server.embedded import EmbeddedTriton
from server.launch import KEY_NAME
from tests.triton.tiny.conftest import HTTP
from tests.waiting import until

pytestmark = pytest.mark.triton

RESTRICTED: dict[str, Callable[[Any, dict[str, str]], Any]] = {
    "index": lambda client, key: client.get_model_repository_index(headers=key),
    "load": lambda client, key: client.load_model("echo", headers=key),
    "unload": lambda client, key: client.unload_model("environment", headers=key),
    "trace": lambda client, key: client.get_trace_settings(headers=key),
    "trace into a file": lambda client, key: client.update_trace_settings(settings={"trace_rate": "1000"}, headers=key),
    "logging": lambda client, key: client.get_log_settings(headers=key),
    "verbose logging": lambda client, key: client.update_log_settings({"log_verbose_level": 0}, headers=key),
}


@pytest.fixture
def clients(triton: EmbeddedTriton) -> Any:
    triton.start(["echo", "environment"])
    with grpc.InferenceServerClient(triton.grpc_url) as one, http.InferenceServerClient(triton.http_url) as other:
        yield ((one, f"triton-grpc-protocol-{KEY_NAME}"), (other, KEY_NAME))


def test_nobody_without_the_key_loads_code_or_redirects_what_is_written(
    triton: EmbeddedTriton, clients: tuple[tuple[Any, str], ...]
) -> None:
    for client, header in clients:
        for name, call in RESTRICTED.items():
            for wrong in ({}, {header: ""}, {header: triton.key[:-1]}, {header: "x" * len(triton.key)}):
                with pytest.raises(InferenceServerException) as refused:
                    call(client, wrong)
                assert "restricted" in str(refused.value), name
        assert client.is_model_ready("environment")
        for call in RESTRICTED.values():
            call(client, {header: triton.key})
        assert not client.is_model_ready("environment")
        client.load_model("environment", headers={header: triton.key})


def test_the_key_is_on_no_command_line(triton: EmbeddedTriton) -> None:
    """Every user may read those, and with the key Triton runs the code that it is sent."""
    triton.start(["echo"])
    assert triton.key
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in remains.marked()[triton.server_id]}
    assert any(b"tritonserver" in line for line in lines.values())
    assert [line for line in lines.values() if triton.key.encode() in line] == []
    assert "can be read on Triton's command line" not in triton.log.read_text()
    with grpc.InferenceServerClient(triton.grpc_url) as client:  # which it still is
        client.load_model("echo", headers={f"triton-grpc-protocol-{KEY_NAME}": triton.key})


def test_regions_of_clients_need_the_key_where_others_have_accounts(config: Settings, tmp_path: Path) -> None:
    region = remains.SHM / f"pixelis-test-{HTTP}"
    region.write_bytes(bytes(4096))
    try:
        for allowed in (True, False):
            server = config.server.model_copy(update={"shared_memory": allowed})
            own = config.model_copy(update={"server": server, "state": tmp_path / str(allowed)})
            with EmbeddedTriton(config=own, models=["echo"]) as triton:
                assert _registered(triton, region.name, {}) == allowed
                assert _registered(triton, region.name, {f"triton-grpc-protocol-{KEY_NAME}": triton.key})
    finally:
        region.unlink()


def _registered(triton: EmbeddedTriton, name: str, headers: dict[str, str]) -> bool:
    with grpc.InferenceServerClient(triton.grpc_url) as client:
        try:
            client.register_system_shared_memory(name, f"/{name}", 4096, headers=headers)
            client.unregister_system_shared_memory(name, headers=headers)
        except InferenceServerException as error:
            if "restricted" in str(error):
                return False
            raise
    return True


def test_it_listens_where_it_was_told_and_nowhere_else(triton: EmbeddedTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself Triton serves Vertex AI on all addresses, and nothing else, where a variable says so."""
    monkeypatch.setenv("AIP_MODE", "PREDICTION")
    monkeypatch.setenv("AIP_HTTP_PORT", str(HTTP + 9))
    monkeypatch.setenv("AIP_STORAGE_URI", "/somewhere/else")
    triton.start(["echo"])
    listening = {
        (connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)
        for pid in remains.marked()[triton.server_id]
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", number) for _, number in triton.ports.named()}


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv (apt-get install util-linux)")
def test_it_needs_no_capability(nothing_left: None, child_environment: dict[str, str]) -> None:
    """Root without capabilities is a user like others, and no exec gives any back."""
    code = (
        "from server.embedded import EmbeddedTriton; t = EmbeddedTriton().start(['echo']); "
        "print([line for line in open('/proc/self/status') if line.startswith('CapEff')][0].split()[1]); t.stop()"
    )
    dropped = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    command = [*dropped, sys.executable, "-c", code]
    done = subprocess.run(command, env=child_environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["0" * 16]), done.stderr


def test_what_passes_through_is_this_user_s_alone(triton: EmbeddedTriton, config: Settings) -> None:
    """Requests lie in regions of shared memory; the log, the key and the record are files."""
    triton.start(["echo"])
    files = [triton.log, *(config.state / "servers").glob("*.key"), *(config.state / "servers").glob("*.json")]
    assert len(files) == 3
    found = list(remains.SHM.glob(f"{triton.server_id}*"))
    assert until(lambda: all(_private(path) for path in found), 2)
    with grpc.InferenceServerClient(triton.grpc_url) as client:  # and what comes later
        key = {f"triton-grpc-protocol-{KEY_NAME}": triton.key}
        client.load_model("environment", headers=key)
    every = list(remains.SHM.glob(f"{triton.server_id}*"))
    assert len(every) >= 2
    assert until(lambda: all(_private(path) for path in [*every, *files]), 2)


def _private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
