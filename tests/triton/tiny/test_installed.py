"""A server as a container has it: a whole Triton in a folder, a repository that is never written, more under a key."""

from __future__ import annotations

from pathlib import Path

import pytest
import tritonclient.grpc as grpc

from pixelis.errors import SetupError
from pixelis.settings import Settings
from server import layout, stubs
from server.embedded import EmbeddedTriton
from server.launch import KEY_NAME
from tests.triton.tiny.conftest import SERVICES
from tests.triton.tiny.test_watchdog import ask, kill, repairs
from tests.waiting import until

pytestmark = [pytest.mark.triton, pytest.mark.timeout(120)]


def stamps() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in SERVICES.rglob("*") if "__pycache__" not in path.parts}


def test_as_in_a_container(config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid = layout.lay_out(tmp_path / "laid")
    monkeypatch.setenv("LD_LIBRARY_PATH", laid.environment()["LD_LIBRARY_PATH"])
    said = {"installed": laid.binary.parents[1], "read_only": True, "shared_memory": False}
    before = stamps()
    with EmbeddedTriton(models=["echo"], config=config.model_copy(update={"server": _with(config, said)})) as triton:
        assert triton.repository == config.state / "repositories" / "18100"
        kill(triton, "echo")
        assert until(lambda: repairs(triton, "echo") == 1)
        assert ask(triton, "echo", 5) == 5
        command = Path(f"/proc/{_parent(triton)}/cmdline").read_bytes().decode().split("\0")
        assert command[0] == str(laid.binary)
        _restricted(triton)
    assert stamps() == before


def test_a_folder_that_holds_no_triton(config: Settings, tmp_path: Path) -> None:
    triton = EmbeddedTriton(config=config.model_copy(update={"server": _with(config, {"installed": tmp_path})}))
    with pytest.raises(SetupError, match="holds no Triton") as caught:
        triton.start(["echo"])
    assert "PIXELIS_SERVER__INSTALLED" in str(caught.value.mend)


def _with(config: Settings, said: dict[str, object]) -> object:
    return config.server.model_copy(update={"watchdog_interval_s": 0.5, **said})


def _parent(triton: EmbeddedTriton) -> int:
    (stub,) = stubs.find(triton.server_id)["echo"]
    return stubs._parent(stub.pid)


def _restricted(triton: EmbeddedTriton) -> None:
    key = {f"triton-grpc-protocol-{KEY_NAME}": triton.key}
    with grpc.InferenceServerClient(triton.grpc_url) as client:
        for refused in (client.get_system_shared_memory_status, client.get_trace_settings, client.get_log_settings):
            with pytest.raises(grpc.InferenceServerException, match="restricted"):
                refused()
            refused(headers=key)
