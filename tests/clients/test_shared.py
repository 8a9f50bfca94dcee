"""Large images through shared memory: whole, of the right request, and nothing left behind."""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from clients import AsyncPixelisClient, PixelisClient, rpc, shared
from clients.shared import FOLDER, LEAST, Region, Regions, local
from clients.tensors import text
from pixelis.errors import DeadlineExceeded, InvalidImage
from server.embedded import EmbeddedTriton

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="this system has no /dev/shm")


def image(seed: int, size: int = 2 * LEAST) -> bytes:
    return bytes([seed]) + os.urandom(size)


def digests(*images: bytes) -> list[str]:
    return [hashlib.sha256(one).hexdigest() for one in images]


def known(url: str) -> set[str]:
    """Regions that the server has mapped."""
    with grpc.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        return set(stub.SystemSharedMemoryStatus(service_pb2.SystemSharedMemoryStatusRequest()).regions)


class Leaving(Regions):
    """Regions of these names."""

    def __init__(self, names: set[str]) -> None:
        super().__init__(False)
        self._names = names

    def stop(self) -> list[Region]:
        return [Region(name, mmap.mmap(-1, 1), known=True) for name in self._names]


def left(pid: int) -> list[Path]:
    """Regions of a process that have a name still; those of others, which ask too, are not ours to judge."""
    return list(FOLDER.glob(f"pixelis-client-{pid}-*"))


@pytest.fixture
def grpc_url(served: EmbeddedTriton) -> Iterator[str]:
    """Where gRPC is served; afterwards no region is mapped there, and none has a name here."""
    before = known(served.grpc_url)
    yield served.grpc_url
    assert known(served.grpc_url) <= before
    assert not left(os.getpid())


@pytest.mark.triton
def test_large_images_arrive_whole_and_small_ones_in_the_message(grpc_url: str) -> None:
    with PixelisClient(grpc_url) as client:
        small, large = image(1, 1000), [image(2), image(3, 100), image(4)]
        assert client.ask(small, "?").provenance.reasons == digests(small)
        assert known(grpc_url) == set()
        for _ in range(3):
            assert client.ask(large, "?").provenance.reasons == digests(*large)
        assert len(known(grpc_url)) == 1
    with PixelisClient(grpc_url, shared_memory=False) as client:
        assert client.ask(large, "?").provenance.reasons == digests(*large)
        assert known(grpc_url) == set()


@pytest.mark.triton
def test_every_request_has_its_own_images(grpc_url: str) -> None:
    def ask(seed: int) -> bool:
        own = image(seed, LEAST + 1000 * seed)
        return client.ask(own, str(seed)).provenance.reasons == digests(own)

    with PixelisClient(grpc_url) as client, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(48)))
        assert 1 <= len(known(grpc_url)) <= 8


@pytest.mark.triton
def test_asyncio(grpc_url: str) -> None:
    async def run() -> None:
        async with AsyncPixelisClient(grpc_url) as client:
            images = [image(seed) for seed in range(6)]
            found = await asyncio.gather(*(client.ask(one, "?") for one in images))
            assert [one.provenance.reasons for one in found] == [digests(one) for one in images]
            assert known(grpc_url)

    asyncio.run(run())


@pytest.mark.triton
def test_a_region_rests_while_its_request_may_still_be_read(grpc_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.wire.MARGIN_S", -0.7)
    with PixelisClient(grpc_url) as client:
        with pytest.raises(DeadlineExceeded):
            client.ask(image(1), "sleep 1", timeout_s=1)
        with pytest.raises(InvalidImage):
            client.ask(image(2), "refuse", timeout_s=9)
        later = image(3)
        assert client.ask(later, "?", timeout_s=9).provenance.reasons == digests(later)
        regions = client._transport._regions._all  # type: ignore[union-attr]
        assert len(regions) == len(known(grpc_url)) == 3
        for region in regions:
            region.rests_until = 0.0
        assert client.ask(later, "?", timeout_s=9).provenance.reasons == digests(later)
        assert len(known(grpc_url)) == 3
        time.sleep(1)  # the server lets go of none that it still reads


@pytest.mark.triton
def test_a_server_that_knows_no_region_is_asked_by_message(grpc_url: str) -> None:
    with PixelisClient(grpc_url) as client:
        for _ in range(shared.LOSSES + 2):
            own = image(1)
            assert client.ask(own, "?").provenance.reasons == digests(own)
            rpc._leave(Leaving(known(grpc_url)), client._transport._stub)  # as after a new start
            assert not known(grpc_url)
            assert client.ask(own, "?").provenance.reasons == digests(own)


@pytest.mark.triton
def test_a_server_that_sees_another_memory_is_asked_by_message(grpc_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a tunnel, or in a container."""
    real = rpc._registration

    def elsewhere(region: Any) -> Any:
        message = real(region)
        message.key = "/not-there"
        return message

    monkeypatch.setattr(rpc, "_registration", elsewhere)
    with PixelisClient(grpc_url) as client:
        for _ in range(2):
            own = image(1)
            assert client.ask(own, "?").provenance.reasons == digests(own)
        assert not client._transport._regions._on  # type: ignore[union-attr]


@pytest.mark.triton
def test_a_client_that_is_not_closed_leaves_nothing(grpc_url: str) -> None:
    client = PixelisClient(grpc_url)
    client.ask(image(1), "?")
    assert known(grpc_url)
    del client


@pytest.mark.triton
def test_one_that_is_killed_leaves_no_name(served: EmbeddedTriton) -> None:
    code = f"""
import os
from clients import PixelisClient
client = PixelisClient({served.grpc_url!r})
client.ask(os.urandom(600_000), "?")
print("asked", flush=True)
client.ask(os.urandom(600_000), "sleep 20")
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"asked\n"
        process.send_signal(signal.SIGKILL)
    assert not left(process.pid)


@pytest.mark.parametrize("url", ["localhost:8001", "127.0.0.1:8001", "127.1.2.3:1", "[::1]:8001"])
def test_this_machine(url: str) -> None:
    assert local(url)


@pytest.mark.parametrize("url", ["triton:8001", "10.0.0.1:8001", "0.0.0.0:8001", "localhost.evil:1", "[fe80::1]:1"])
def test_another_machine(url: str) -> None:
    assert not local(url)


def test_memory_that_is_not_there_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"IMAGE": text(image(1))}

    class Full:
        f_bavail, f_frsize = 100, 4096

    monkeypatch.setattr(os, "statvfs", lambda _: Full())
    assert Regions(True).take(inputs) is None
    monkeypatch.undo()
    monkeypatch.setattr(shared, "MOST", LEAST)
    assert Regions(True).take(inputs) is None
    monkeypatch.undo()
    regions = Regions(True)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert regions.take(inputs) is None  # after a fork
    monkeypatch.undo()
    assert not left(os.getpid())
