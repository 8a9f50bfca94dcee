"""Parts of the watchdog that need no server; the rest is in tests/triton and tests/chaos."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from pixelis.errors import ServingError, Unavailable
from pixelis.settings import Settings
from server import health
from server.commands import Falls
from server.control import Control
from server.health import Health
from server.probes import Prober
from server.repair import Patience, Repairer
from server.repository import scan
from server.stubs import Roll


def test_every_served_model_with_a_process_has_a_probe() -> None:
    prober = Prober(Control("127.0.0.1:1"))
    repository = Path(__file__).resolve().parents[2] / "model_repository"
    models = [model for model in scan(repository) if model.stubs]
    assert len(models) >= 16
    assert [model.name for model in models if not prober.knows(model.name, model.config)] == []


def test_a_model_that_is_too_dear_to_be_asked_is_not() -> None:
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    def config(probe: str) -> ModelConfig:
        said = {"artifact": "manifest.json", **({"probe": probe} if probe else {})}
        entries = (f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}' for key, value in said.items())
        return text_format.Parse(" ".join(entries), ModelConfig())

    prober = Prober(Control("127.0.0.1:1"))
    assert [prober.knows("one", config(probe)) for probe in ("", "none")] == [True, False]


def test_health_is_written_and_read(tmp_path: Path) -> None:
    kept = Health(tmp_path, 8000, ["a", "b"])
    kept.trouble("a", "dead", "it does not load")
    assert health.read(tmp_path, 8000)["a"].state == "dead"
    kept.repaired("a", 1.23456)
    read = health.read(tmp_path, 8000)["a"]
    assert (read.state, read.repairs, read.repair_s, read.reason) == ("healthy", 1, 1.235, "it does not load")
    assert json.loads((tmp_path / "8000.json").read_text())["b"]["repairs"] == 0
    server = f'server="{socket.gethostname()}:8000"'
    told = (tmp_path / "8000.prom").read_text().splitlines()
    assert {f'pixelis_repairs_total{{model="a",{server}}} 1', f'pixelis_model_healthy{{model="a",{server}}} 1'} <= {
        *told
    }
    kept.trouble("b", "repairing", "its process is gone")
    assert f'pixelis_model_healthy{{model="b",{server}}} 0' in (tmp_path / "8000.prom").read_text().splitlines()
    kept.forget()
    assert health.read(tmp_path, 8000) == {}
    assert list(tmp_path.iterdir()) == []


def test_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("server.repair.time.monotonic", lambda: now[0])
    patience = Patience()
    assert patience.over
    assert [patience.tried() for _ in range(4)] == [0, 1, 2, 4]
    assert not patience.over
    now[0] += 4.1
    assert patience.over
    now[0] += 100
    assert patience.tried() == 0


def test_triton_is_not_started_again_for_ever() -> None:
    falls = Falls()
    assert [falls.next_wait_s() for _ in range(7)] == [1, 2, 4, 8, 16, None, None]


def test_a_repository_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    control = Control("127.0.0.1:1")
    (tmp_path / "a" / "1").mkdir(parents=True)
    (tmp_path / "a" / "config.pbtxt").write_text('name: "a" backend: "python"')
    (model,) = scan(tmp_path)
    repair = Repairer(control, Prober(control), {"a": model}, 5, tmp_path, "")
    with pytest.raises(ServingError, match=r"model\.py cannot be touched.*writable"):
        repair("a")
    (tmp_path / "a" / "1" / "model.py").touch()
    with pytest.raises(Unavailable, match="No server answers"):
        repair("a")
    control.close()


def test_the_roll_of_a_server_without_processes_is_short() -> None:
    assert Roll("pixelis-nobody-", {"a": 2, "ensemble": 0}).missing() == {"a": []}


def test_the_watchdog_is_on_and_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.delenv("PIXELIS_SERVER__WATCHDOG", raising=False)
    assert Settings().server.watchdog
    monkeypatch.setenv("PIXELIS_SERVER__WATCHDOG", "false")
    assert not Settings().server.watchdog
