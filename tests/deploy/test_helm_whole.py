"""All that the chart starts, but Kubernetes: two Redis, a Triton, a gateway, and the test of `helm test`.

Ports 18160 to 18162 (Triton), 18165 and 18166 (Redis), 18167 (gateway).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.gateway import keys
from pixelis.settings import settings
from tests.deploy import chart
from tests.deploy.containers import SECRETS, placed, process, told, until
from tests.deploy.redises import CACHE, LOG, answers, running_redis
from tests.deploy.tritons import GRPC, running
from tests.redis_server import needs_redis
from tests.triton.built import example, link_repository
from tests.triton.gateways import posted

pytestmark = [pytest.mark.triton, pytest.mark.long]
PORT = 18167


@dataclass
class Served:
    """What was started."""

    url: str
    key: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """It answers under this address, with this key."""
    needs_redis()
    root = tmp_path_factory.mktemp("whole")
    places = {f"pixelis-redis-{name}:6379": f"127.0.0.1:{port}" for name, port in (("cache", CACHE), ("log", LOG))}
    with ExitStack() as stack:
        for store, port in (("cache", CACHE), ("log", LOG)):
            stack.enter_context(running_redis("cpu", store, port, made(root / store)))
        repository = link_repository(made(root / "repository"))
        triton = stack.enter_context(running("cpu", repository, made(root / "state"), places))
        key = keys.add(root / "keys.json", "alice", None, None)
        stack.enter_context(process(*gateway(root), made(root / "gateway") / "gateway.log"))
        assert until(lambda: triton.ready, 180), triton.log.read_text()[-3000:]
        yield Served(f"127.0.0.1:{PORT}", key)


def gateway(root: Path) -> tuple[list[str], dict[str, str]]:
    """The container `gateway` as a process here."""
    places = {"/etc/pixelis": str(root), "/state": str(root / "gateway"), "pixelis-triton:8001": f"127.0.0.1:{GRPC}"}
    words, variables = told(chart.pod("cpu", "gateway").main, {**places, "8080": str(PORT), "0.0.0.0": "127.0.0.1"})
    assert words == ["pixelis", "gateway"]
    variables |= {"PYTHONPATH": str(chart.ROOT), "PATH": "/usr/bin:/bin"}
    return [sys.executable, "-m", *words], variables


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_helm_test_finds_it_ready(served: Served) -> None:
    command = [placed(word, {"pixelis-gateway:8080": served.url}) for word in chart.pod("cpu", "test").main["command"]]
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"http://{served.url}/health: ready\n")


def test_the_probe_of_the_gateway_is_answered(served: Served) -> None:
    from http.client import HTTPConnection

    path = chart.pod("cpu", "gateway").main["readinessProbe"]["httpGet"]["path"]
    connection = HTTPConnection(served.url, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == 200


def test_a_question_is_answered_cached_and_learned_by_the_log(served: Served) -> None:
    import base64

    image = base64.b64encode(example(3)).decode()
    asked = {"image": image, "question": "How many blue shapes does the image show?"}
    assert posted(served.url, "/infer", asked)[0] == 401
    status, said = posted(served.url, "/infer", asked, served.key)
    assert (status, said["answer"]) == (200, "4")
    assert until(lambda: answers(CACHE, SECRETS["the-cache-password"]).dbsize() > 0, 10)
    log = answers(LOG, SECRETS["the-log-password"])
    before = log.xlen(settings().retrieval.replicas.stream)
    assert before > 0  # the seeds
    status, said = posted(served.url, "/infer", {**asked, "read_only": False, "request_id": "learned"}, served.key)
    assert status == 200
    status, said = posted(served.url, "/feedback", {"request_id": "learned", "correct": True}, served.key)
    assert status == 200, said
    assert log.xlen(settings().retrieval.replicas.stream) > before
