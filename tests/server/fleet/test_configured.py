"""What nginx, Redis and Prometheus of a fleet are told, and that the real ones take it."""

from __future__ import annotations

import http.client
import http.server
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from perf.ports import free_ports
from pixelis.errors import SetupError
from pixelis.fleet_config import Fleet
from pixelis.settings import Settings
from server.fleet import redis
from server.fleet.balancer import Balancer
from server.fleet.part import Part
from server.fleet.places import Places
from server.fleet.replica import Replica
from server.fleet.watcher import Watcher
from tests.redis_server import needs_redis


def places(folder: Path) -> Places:
    free = free_ports()
    config = Fleet(port=free.http_port, grpc_port=free.grpc_port, base_port=30_100 + free.metrics_port % 300 * 50)
    return Places(config, folder)


def replicas(made: Places, count: int) -> list[Replica]:
    return [Replica(number, made, Settings()) for number in range(1, count + 1)]


@contextmanager
def up(*parts: Part) -> Iterator[None]:
    for part in parts:
        part.start()
    try:
        end = time.monotonic() + 20
        while any(part.state != "ready" for part in parts):
            for part in parts:
                part.look()
                part.require_alive()
            assert time.monotonic() < end
            time.sleep(0.02)
        yield
    finally:
        for part in parts:
            part.ask_to_end()
        for part in parts:
            part.await_end()


def answering(port: int, status: Callable[[], int]) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            said = f"{port} {self.headers['X-Forwarded-For']}".encode()
            self.send_response(status())
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def post(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, b"{}")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def nginx(tmp_path: Path) -> Balancer:
    try:
        return Balancer(places(tmp_path))
    except SetupError as error:
        pytest.skip(str(error))


def test_a_question_goes_on_to_another_gateway_and_feedback_does_not(nginx: Balancer) -> None:
    made = nginx._places
    both = replicas(made, 2)
    answers = {one.gateway: 200 for one in both}
    with ExitStack() as stack:
        for one in both:
            server = answering(one.gateway, lambda one=one: answers[one.gateway])  # type: ignore[misc]
            stack.callback(server.shutdown)
        nginx.write(both)
        stack.enter_context(up(nginx.part))
        told = {post(made.config.port, "/infer")[1] for _ in range(8)}
        assert told == {f"{one.gateway} 127.0.0.1" for one in both}
        answers[both[0].gateway] = 503
        assert [post(made.config.port, "/infer")[0] for _ in range(4)] == [200] * 4
        time.sleep(3.2)  # a gateway that refused is left alone for two seconds, as whole seconds count
        assert sorted({post(made.config.port, "/feedback")[0] for _ in range(40)}) == [200, 503]


def test_those_that_take_requests_change_while_it_runs(nginx: Balancer) -> None:
    made = nginx._places
    both = replicas(made, 2)
    with ExitStack() as stack:
        for one in both:
            stack.callback(answering(one.gateway, lambda: 200).shutdown)
        nginx.write(both)
        stack.enter_context(up(nginx.part))
        workers = nginx.workers()
        assert workers
        nginx.change(both[1:])
        end = time.monotonic() + 10
        while workers & nginx.workers():
            assert time.monotonic() < end
            time.sleep(0.02)
        assert {post(made.config.port, "/infer")[1] for _ in range(6)} == {f"{both[1].gateway} 127.0.0.1"}


def test_nobody_behind_it_is_a_configuration_too(nginx: Balancer) -> None:
    nginx.write([])


def test_both_redis_take_their_configuration_and_a_password_is_needed(tmp_path: Path) -> None:
    needs_redis()
    import redis as library

    made = places(tmp_path)
    cache, log = parts = redis.parts(made)
    with up(*parts):
        for url, policy, kept in (
            (redis.cache_url(made), "allkeys-lfu", "no"),
            (redis.log_url(made), "noeviction", "yes"),
        ):
            client = library.Redis.from_url(url)
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": policy}
            assert client.config_get("appendonly") == {"appendonly": kept}
        with pytest.raises(library.AuthenticationError):
            library.Redis(port=made.cache_port).ping()
    assert (cache.name, log.name) == ("redis-cache", "redis-log")
    assert not (tmp_path / "redis" / "password").stat().st_mode & 0o077
    for name in ("cache", "log"):
        assert not (tmp_path / "redis" / name / "redis.conf").stat().st_mode & 0o077


def test_redis_elsewhere_is_not_started_here(tmp_path: Path) -> None:
    config = Fleet.model_validate({"cache_url": "redis://:a@far:1/0", "log_url": "redis://:b@far:2/0"})
    made = Places(config, tmp_path)
    assert redis.parts(made) == []
    told = Replica(1, made, Settings()).triton.environment
    assert told["PIXELIS_CACHE__REDIS_URL"] == "redis://:a@far:1/0"
    assert told["PIXELIS_RETRIEVAL__REPLICAS__URL"] == "redis://:b@far:2/0"


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    made = places(tmp_path)
    watcher = Watcher(made)
    watcher.write(replicas(made, 2))
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    told = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus" / "prometheus.yml"], capture_output=True
    )
    assert told.returncode == 0, told


def test_replicas_have_ports_and_folders_of_their_own(tmp_path: Path) -> None:
    both = replicas(places(tmp_path), 2)
    taken = [port for one in both for port in (one.http, one.grpc, one.metrics, one.gateway)]
    assert len(set(taken)) == 8
    assert both[0].state != both[1].state


def test_ports_that_do_not_exist_are_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Replica 200 has no ports"):
        Places(Fleet(base_port=64_000), tmp_path).first_port(200)
