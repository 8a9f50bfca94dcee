"""A real Triton with tiny services, deliberately bad ones among them. Ports 18100 to 18102."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixelis.settings import Server, Settings
from server import remains
from server.embedded import EmbeddedTriton
from tests.waiting import until

SERVICES = Path(__file__).parent / "repository"
HTTP, GRPC, METRICS = 18100, 18101, 18102


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Whatever a test did: no process and no region of ours is left after it."""
    assert (regions(), processes()) == ([], [])
    yield
    until(lambda: not regions() and not processes(), 5)
    assert (regions(), processes()) == ([], [])


@pytest.fixture
def config(tmp_path: Path, nothing_left: None) -> Settings:
    """Settings with a state folder of the test's own."""
    server = Server(http_port=HTTP, grpc_port=GRPC, metrics_port=METRICS, ready_timeout_s=60, exit_timeout_s=2)
    return Settings(state=tmp_path / "state", repository=SERVICES, server=server)


@pytest.fixture
def child_environment(config: Settings) -> dict[str, str]:
    """The same settings for a process that a test starts."""
    root = str(Path(__file__).resolve().parents[3])
    return {
        **os.environ,
        "PYTHONPATH": root,
        "PIXELIS_STATE": str(config.state),
        "PIXELIS_REPOSITORY": str(SERVICES),
        "PIXELIS_SERVER__HTTP_PORT": str(HTTP),
        "PIXELIS_SERVER__GRPC_PORT": str(GRPC),
        "PIXELIS_SERVER__METRICS_PORT": str(METRICS),
        "PIXELIS_SERVER__EXIT_TIMEOUT_S": "2",
    }


@pytest.fixture
def triton(config: Settings) -> Iterator[EmbeddedTriton]:
    """A Triton that is not started yet; stopped at the end."""
    server = EmbeddedTriton(config=config)
    yield server
    server.stop()


def regions() -> list[str]:
    """Shared-memory regions of servers on the test's port."""
    return [path.name for path in remains.SHM.glob(f"{remains.PREFIX}{HTTP}-*")]


def processes() -> list[int]:
    """Processes of servers on the test's port."""
    found = remains.marked()
    return [pid for name, pids in found.items() if name.startswith(f"{remains.PREFIX}{HTTP}-") for pid in pids]
