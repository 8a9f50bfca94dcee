"""A real Triton with four small services that echo, started once. Ports 18130 to 18132."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clients import PixelisClient
from clients.connection import Protocol
from pixelis.settings import Server, Settings
from server.embedded import EmbeddedTriton

SERVICES = Path(__file__).parent / "services"
PORTS = {"http": 18130, "grpc": 18131, "metrics": 18132}
DEAD = "127.0.0.1:18139"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """The running server."""
    server = Server(http_port=PORTS["http"], grpc_port=PORTS["grpc"], metrics_port=PORTS["metrics"], exit_timeout_s=2)
    config = Settings(state=tmp_path_factory.mktemp("state"), repository=SERVICES, server=server)
    with EmbeddedTriton(config=config) as triton:
        yield triton


@pytest.fixture(params=["grpc", "http"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    """Each protocol in turn."""
    name: Protocol = request.param
    return name


@pytest.fixture
def url(served: EmbeddedTriton, protocol: Protocol) -> str:
    """Where the protocol is served."""
    return served.grpc_url if protocol == "grpc" else served.http_url


@pytest.fixture
def client(url: str, protocol: Protocol) -> Iterator[PixelisClient]:
    """A synchronous client."""
    with PixelisClient(url, protocol, metrics_url=f"127.0.0.1:{PORTS['metrics']}") as made:
        yield made


def picture(seed: int = 0, kind: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    """An encoded picture of noise, in which every byte value occurs."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()
