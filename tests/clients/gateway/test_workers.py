"""Several processes behind one port: `pixelis gateway --workers 2`, before the echoing Triton. Ports 18134, 18135."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import psutil
import pytest

from clients.gateway import keys
from clients.gateway.allowance import Left
from clients.gateway.quotas import Quotas
from clients.metrics import parse
from server.embedded import EmbeddedTriton
from tests.clients.conftest import PORTS
from tests.clients.gateway.test_gateway import body

pytestmark = pytest.mark.triton

PORT, OTHER = 18134, 18135
ROOT = Path(__file__).parents[3]


class Running:
    """A gateway of two workers.

    Args:
        process: its supervisor.
        port: where it listens.
    """

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def fork_server(self) -> psutil.Process:
        """The process that workers are forked from."""
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if "multiprocessing.forkserver" in " ".join(child.cmdline()))

    def workers(self) -> list[int]:
        """The processes that serve: children of the fork server."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it may just have been killed
                found += [one.pid for one in child.children()]
        return found

    def asked(self, path: str, said: object = None, key: str = "") -> tuple[int, Any]:
        """Status and body on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            return exchanged(connection, path, said, key)
        finally:
            connection.close()

    @contextlib.contextmanager
    def at(self, worker: int) -> Iterator[http.client.HTTPConnection]:
        """A connection that this very worker has taken: the others are stopped meanwhile."""
        others = [pid for pid in self.workers() if pid != worker]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert exchanged(connection, "/openapi.json")[0] == 200
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)
        yield connection
        connection.close()


def exchanged(connection: http.client.HTTPConnection, path: str, said: object = None, key: str = "") -> tuple[int, Any]:
    """Status and body; JSON is parsed."""
    data = None if said is None else json.dumps(said).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    connection.request("GET" if data is None else "POST", path, data, headers)
    response = connection.getresponse()
    content = response.read()
    kind = response.headers.get("content-type", "")
    return response.status, json.loads(content) if kind == "application/json" else content


def refuses(port: int) -> bool:
    """Whether nobody listens."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) != 0


def until(true: Callable[[], bool], seconds: float = 10) -> float:
    """Seconds until it is true; fails when it takes too long."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() < start + seconds
        time.sleep(0.02)
    return time.monotonic() - start


@contextlib.contextmanager
def started(url: str, state: Path, port: int = OTHER, **settings: object) -> Iterator[Running]:
    """The command, while it runs; nothing of it is left then."""
    chosen = {f"PIXELIS_GATEWAY__{name.upper()}": str(value) for name, value in settings.items()}
    environment = {**os.environ, "PIXELIS_STATE": str(state), "PYTHONPATH": str(ROOT), **chosen}
    environment["PIXELIS_GATEWAY__TRITON_METRICS"] = f"127.0.0.1:{PORTS['metrics']}"
    command = [sys.executable, "-m", "pixelis", "gateway", "--workers", "2", "--port", str(port), "--triton", url]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert f"127.0.0.1:{port}" in process.stdout.readline()
        running = Running(process, port)
        workers = running.workers()
        assert len(workers) == 2
        try:
            yield running
        finally:
            process.terminate()
            assert process.wait(20) == 0 or process.returncode == -signal.SIGKILL
            until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


@contextlib.contextmanager
def loaded(running: Running, connections: int) -> Iterator[list[int]]:
    """Others who ask meanwhile, each on new connections: the statuses that they get, 0 where they get none."""
    over, outcomes = threading.Event(), []

    def load() -> None:
        while not over.is_set():
            try:
                outcomes.append(running.asked("/v1/models")[0])
            except (OSError, http.client.HTTPException):
                outcomes.append(0)

    with ThreadPoolExecutor(connections) as pool:
        for _ in range(connections):
            pool.submit(load)
        try:
            yield outcomes
        finally:
            over.set()


@pytest.fixture(scope="module")
def two(served: EmbeddedTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that most tests share."""
    bounds = {"in_flight": 1, "waiting": 1, "requests_per_minute": 6000}
    with started(served.grpc_url, tmp_path_factory.mktemp("gateway"), PORT, **bounds) as running:
        yield running


def count(metrics: bytes, name: str) -> float:
    return parse(metrics.decode()).get(name, 0.0)


def test_metrics_add_up_whichever_worker_is_asked(two: Running) -> None:
    name = 'pixelis_gateway_request_seconds_count{outcome="ok",route="/infer"}'
    one, other = two.workers()
    with two.at(one) as first, two.at(other) as second:
        before = count(exchanged(first, "/metrics")[1], name)
        for connection in (first, first, second):
            assert exchanged(connection, "/infer", body())[0] == 200
        texts = [exchanged(connection, "/metrics")[1] for connection in (first, second)]
        assert [count(text, name) - before for text in texts] == [3, 3]
        assert all(b'process_resident_memory_bytes{worker="1"}' in text for text in texts)
        for connection in (first, second):
            stats = exchanged(connection, "/stats")[1]
            assert (stats["requests"]["/infer"]["ok"] - before, stats["workers"], stats["in_flight"]) == (3, 2, 0)
            assert exchanged(connection, "/health")[1]["live"] is True


def test_turns_are_those_of_the_whole_gateway(two: Running) -> None:
    one, other = two.workers()
    with two.at(one) as first, two.at(other) as second, two.at(other) as third, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(exchanged, first, "/infer", body("sleep 1.5"))
        time.sleep(0.4)
        waits = pool.submit(exchanged, second, "/infer", body())
        time.sleep(0.2)
        status, found = exchanged(third, "/infer", body())
        assert (status, found["error"]["code"]) == (503, "unavailable")
        stats = exchanged(third, "/stats")[1]
        assert (stats["in_flight"], stats["waiting"]["ordinary"]) == (1, 1)
        assert count(exchanged(third, "/metrics")[1], "pixelis_gateway_in_flight") == 1
        assert (slow.result()[0], waits.result()[0]) == (200, 200)


def test_events_are_found_whichever_worker_is_asked(two: Running) -> None:
    one, other = two.workers()
    with two.at(one) as first, two.at(other) as second, two.at(other) as third, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(exchanged, first, "/infer", body("sleep 1", stream=True, request_id="over"))
        until(lambda: exchanged(second, "/stats")[1]["in_flight"] == 1)
        status, found = exchanged(third, "/v1/events/over")
        assert (status, found) == (200, asked.result()[1])
        assert exchanged(first, "/v1/events/over") == exchanged(second, "/v1/events/over") == (200, found)
        assert exchanged(second, "/v1/events/other")[0] == 404


def test_a_worker_that_is_killed_loses_only_what_it_did(two: Running) -> None:
    victim, other = two.workers()
    name = 'pixelis_gateway_request_seconds_count{outcome="ok",route="/infer"}'
    with two.at(victim) as doomed, two.at(other) as spared, ThreadPoolExecutor(2) as pool, loaded(two, 4) as outcomes:
        assert exchanged(doomed, "/infer", body())[0] == 200
        before = count(two.asked("/metrics")[1], name)
        lost = pool.submit(exchanged, doomed, "/infer", body("sleep 3", stream=True, request_id="lost"))
        time.sleep(0.5)
        waits = pool.submit(exchanged, spared, "/infer", body("waits", timeout_s=10))
        until(lambda: two.asked("/stats")[1]["waiting"]["ordinary"] == 1)
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(two.workers()) == two.asked("/stats")[1]["workers"] == 2 and victim not in two.workers(), 5)
        with pytest.raises((OSError, http.client.HTTPException)):
            lost.result()
        assert waits.result()[1]["answer"] == "waits"  # the one turn that there is came back
        assert b"has died" in exchanged(spared, "/v1/events/lost")[1]
    assert other in two.workers()
    assert outcomes.count(0) <= 4  # what each of the load's connections had there at most
    assert outcomes.count(200) == len(outcomes) - outcomes.count(0) > 20
    assert count(two.asked("/metrics")[1], name) == before + 1  # the dead one's counts are kept
    for worker in two.workers():
        with two.at(worker) as connection:
            assert exchanged(connection, "/infer", body())[0] == 200


def test_limits_are_those_of_the_whole_gateway_and_all_workers_end_what_they_do(
    served: EmbeddedTriton, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    alice, bob = keys.add(path, "alice", 6, None), keys.add(path, "bob", None, None, 2)
    with started(served.grpc_url, tmp_path, keys=path) as running:
        one, other = running.workers()
        with running.at(one) as first, running.at(other) as second, ThreadPoolExecutor(2) as pool:
            batch = {"requests": [body()] * 2}
            assert exchanged(first, "/infer", body(), bob)[0] == 200
            status, found = exchanged(second, "/batch_infer", batch, bob)
            assert (status, "2 questions of a day" in found["error"]["message"]) == (429, True)
            found = [exchanged(connection, "/v1/models", None, alice)[0] for connection in (first, second)]
            assert found == [200, 429]
            running.fork_server().kill()  # another takes its place when it is needed
            os.kill(other, signal.SIGKILL)
            until(lambda: len(running.workers()) == 1 and running.asked("/stats")[1]["workers"] == 2)
            slow = pool.submit(running.asked, "/infer", body("sleep 3"), bob)
            time.sleep(0.5)
            running.process.terminate()
            until(lambda: refuses(OTHER), 2)
            assert not slow.done()
            assert slow.result()[0] == 200
        assert running.process.wait(10) == 0
        assert Quotas(tmp_path / "gateway" / "quotas.sqlite").left("key bob", 2) == Left(2, 0, ANY)
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", OTHER))


@pytest.mark.parametrize("fault", ["raise ImportError('broken')", "raise RuntimeError('broken')"])
def test_workers_that_do_not_start_end_the_gateway(tmp_path: Path, fault: str) -> None:
    (tmp_path / "uvicorn.py").write_text(fault)
    environment = {**os.environ, "PIXELIS_STATE": str(tmp_path), "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "pixelis", "gateway", "--workers", "2", "--port", str(OTHER)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: A worker has died at its start 3 times" in done.stderr
    assert "broken" in done.stderr


def test_workers_end_with_their_supervisor(two: Running) -> None:
    """The last one: nothing is left of the shared gateway."""
    workers = two.workers()
    os.kill(two.process.pid, signal.SIGKILL)
    two.process.wait(5)
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))
    with pytest.raises(ConnectionRefusedError):
        two.asked("/health")
