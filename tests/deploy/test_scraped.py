"""Two gateways behind nginx, a Triton, both Redis and their exporters, watched by a Prometheus: then every query of the
dashboard is asked, and every alert. All of them real, with the files of deploy/. Ports 18500 to 18513.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as grpc
import yaml
from pydantic import SecretStr

from clients.client import PixelisClient
from pixelis.settings import Settings
from server.embedded import EmbeddedTriton
from tests.deploy.compose import config, rules
from tests.deploy.test_dashboard import queries
from tests.deploy.test_redis import started
from tests.deploy.tools import DEPLOY, filled, nginx, program, running, servers
from tests.redis_server import wait
from tests.triton.built import EXAMPLES, asked, configured, link_repository
from tests.triton.gateways import gateway, posted

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(240)]

TRITON, ONE, OTHER, HTTP, GRPC, PROMETHEUS, NODE = 18500, 18503, 18504, 18505, 18506, 18507, 18508
CACHE, LOG = 18509, 18510
PLACES = {
    "triton-1:8002": TRITON + 2,
    "gateway-1:8080": ONE,
    "gateway-2:8080": OTHER,
    "node-metrics:9100": NODE,
    "redis-cache-metrics:9121": CACHE,
    "redis-log-metrics:9121": LOG,
    "127.0.0.1:9090": PROMETHEUS,
}
"""Where those are here that prometheus.yml names; there is no second Triton."""
EMPTY = {"GPU": "there may be none"}
"""Panels whose queries may find nothing, and why."""
UNSEEN = {
    "nv_gpu_memory_used_bytes": "there may be no GPU",
    "nv_gpu_memory_total_bytes": "there may be no GPU",
    "pixelis_cache_errors_total": "a counter is made when it first counts, and no tier need have failed",
}
"""Metrics of alerts that need not be there, and why."""


@dataclass
class Stack:
    """What runs.

    Attributes:
        triton: behind the gateways.
        url: nginx's `host:port` of HTTP.
        log: what nginx says.
    """

    triton: EmbeddedTriton
    url: str
    log: Path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    for needed in ("nginx", "prometheus", "prometheus-node-exporter", "prometheus-redis-exporter"):
        program(needed)
    folder = tmp_path_factory.mktemp("stack")
    with contextlib.ExitStack() as all_of_them:
        enter = all_of_them.enter_context
        settings = _with_redis(folder, enter)
        triton = enter(EmbeddedTriton(config=settings))
        for port in (ONE, OTHER):
            enter(gateway(port, triton, folder / "gateways"))
        conf = filled(folder / "nginx", _values())
        enter(running(nginx(conf, "-g", "daemon off; user root;"), folder / "nginx.log"))
        enter(running(_node(folder / "state"), folder / "node.log"))
        enter(running(_prometheus(folder), folder / "prometheus.log"))
        yield Stack(triton, f"127.0.0.1:{HTTP}", folder / "nginx.log")


def _values() -> dict[str, str]:
    return {
        "PIXELIS_HTTP_LISTEN": f"127.0.0.1:{HTTP}",
        "PIXELIS_GRPC_LISTEN": f"127.0.0.1:{GRPC}",
        "PIXELIS_GATEWAYS": servers(ONE, OTHER),
        "PIXELIS_TRITONS": servers(TRITON + 1),
    }


def _with_redis(folder: Path, enter: Any) -> Settings:
    """Settings of a server that uses both Redis, which run then, and so do their exporters."""
    urls = {}
    for which, port in (("cache", CACHE), ("log", LOG)):
        (folder / which).mkdir()
        client = enter(started(which, folder / which))
        there = client.connection_pool.connection_kwargs
        urls[which] = SecretStr(f"redis://:{there['password']}@127.0.0.1:{there['port']}/0")
        told = {"REDIS_ADDR": f"redis://127.0.0.1:{there['port']}", "REDIS_PASSWORD": there["password"]}
        command = ["prometheus-redis-exporter", f"-web.listen-address=127.0.0.1:{port}"]
        enter(running(command, folder / f"{which}.log", **told))
    base = configured(TRITON, link_repository(folder / "models"), folder / "state" / "triton-1")
    cache = base.cache.model_copy(update={"enable_redis": True, "redis_url": urls["cache"]})
    replicas = base.retrieval.replicas.model_copy(update={"url": urls["log"]})
    retrieval = base.retrieval.model_copy(update={"replicas": replicas})
    return base.model_copy(update={"cache": cache, "retrieval": retrieval})


def _node(states: Path) -> list[str]:
    """The exporter by the service's own arguments; there is no other root here, and watchdogs' files lie elsewhere."""
    words = config("cpu")["services"]["node-metrics"]["command"]
    words = [word for word in words if not word.startswith(("--path.", "--collector.textfile.directory"))]
    there = f"--collector.textfile.directory={states}/*/health"
    return ["prometheus-node-exporter", *words, there, f"--web.listen-address=127.0.0.1:{NODE}"]


def _prometheus(folder: Path) -> list[str]:
    """With our own files, other addresses, and a second between two scrapes."""
    made = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    made["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    made["rule_files"] = [str(DEPLOY / "prometheus" / "alerts.yml")]
    for group in (group for job in made["scrape_configs"] for group in job["static_configs"]):
        group["targets"] = [f"127.0.0.1:{PLACES[name]}" for name in group["targets"] if name in PLACES]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(made), encoding="utf-8")
    said = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
    return ["prometheus", *said, f"--web.listen-address=127.0.0.1:{PROMETHEUS}"]


def query(expression: str) -> list[dict[str, Any]]:
    """What Prometheus finds now; one that does not parse is an error."""
    data = _got("query", query=expression)
    return [data] if data["resultType"] == "scalar" else data["result"]


def _got(what: str, **said: str) -> Any:
    address = f"http://127.0.0.1:{PROMETHEUS}/api/v1/{what}?{urllib.parse.urlencode(said)}"
    try:
        with urllib.request.urlopen(address, timeout=20) as response:
            return json.loads(response.read())["data"]
    except urllib.error.HTTPError as error:
        if error.code == 503:  # it is starting
            raise
        raise AssertionError(f"{said}: {error.read().decode()}") from None


@pytest.fixture(scope="module")
def run(stack: Stack) -> Stack:
    """Questions that are new and known, streams, feedback, operations and a batch, all through nginx.

    Twice, and some scrapes apart: a counter that is there at once with all that it will ever have has no rate.
    """
    wait(lambda: _up() == len(PLACES), 20)
    _asked(stack)
    time.sleep(2)
    _asked(stack)
    return stack


def _up() -> int:
    try:
        return len(query("up == 1"))
    except OSError:
        return 0


def _asked(stack: Stack) -> None:
    known = [(image, question, right) for image, question, right in asked() if "point" not in right][:2]
    bodies = [{"image": _coded(image), "question": question} for image, question, _ in known]
    rights = [right for _, _, right in known]
    for body, right in zip(bodies, rights, strict=True):
        for use_cache in (True, False):
            status, found = posted(stack.url, "/infer", {**body, "use_cache": use_cache})
            assert (status, found["answer"]) == (200, right)
    for body in bodies[:2]:
        _stream(stack.url, body)
    status, found = posted(stack.url, "/infer", {**bodies[0], "read_only": False})
    assert status == 200
    status, _ = posted(stack.url, "/feedback", {"request_id": found["request_id"], "correct": True})
    assert status == 200
    status, found = posted(stack.url, "/batch_infer", {"requests": bodies})
    assert (status, [one["result"]["answer"] for one in found["answers"]]) == (200, rights)
    with PixelisClient(f"127.0.0.1:{GRPC}") as client:
        client.ops((EXAMPLES / "page.png").read_bytes(), "READ_TEXT")


def _coded(image: bytes) -> str:
    return base64.b64encode(image).decode()


def _stream(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"http://{url}/infer", json.dumps({**body, "stream": True}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert b"event: answer" in response.read()


def test_everything_that_is_watched_is_up(run: Stack) -> None:
    assert (_up(), query("up == 0")) == (len(PLACES), [])


def test_every_query_of_the_dashboard_finds_something(run: Stack) -> None:
    asked_for = [(title, expression.replace("$__rate_interval", "1m")) for title, expression in queries()]
    assert not [expression for _, expression in asked_for if "$" in expression]
    # Rates need two scrapes, and recall a look of the background.
    for _, expression in asked_for:
        query(expression)
    wanted = [expression for title, expression in asked_for if title not in EMPTY]
    with contextlib.suppress(AssertionError):  # then it is said which
        wait(lambda: not _nothing(wanted), 20)
    assert _nothing(wanted) == []


def _nothing(expressions: list[str]) -> list[str]:
    """Those that find no number."""
    return [one for one in expressions if not any(found["value"][1] != "NaN" for found in query(one))]


@pytest.mark.parametrize("name", rules())
def test_every_alert_is_asked_of_what_there_is(run: Stack, name: str) -> None:
    expression = rules()[name]["expr"]
    query(expression)
    metrics = set(re.findall(r"\b(?:nv|pixelis|redis|node)[_:][A-Za-z0-9_:]+|\bup\b", expression))
    assert metrics
    assert [metric for metric in metrics - UNSEEN.keys() if not query(metric)] == []


def test_prometheus_evaluates_the_alerts_and_none_fires(run: Stack) -> None:
    groups = _got("rules")["groups"]
    evaluated = {rule["name"]: (rule["health"], rule.get("lastError")) for group in groups for rule in group["rules"]}
    assert evaluated == dict.fromkeys([*rules(), "pixelis:cache_hits:share30m"], ("ok", None))
    assert [alert for alert in _got("alerts")["alerts"] if alert["state"] == "firing"] == []


def test_commands_of_the_runbook_that_ask_prometheus_are_answered(run: Stack) -> None:
    text = (DEPLOY.parent / "docs" / "runbook.md").read_text(encoding="utf-8")
    found = re.findall(r"promtool query instant http://127.0.0.1:9090 '(.+)'", text)
    assert len(found) > 10
    for expression in found:
        query(expression)


def test_triton_behind_nginx_takes_questions_and_no_orders(run: Stack) -> None:
    with grpc.InferenceServerClient(f"127.0.0.1:{GRPC}") as client:
        assert client.is_model_ready("pixelis")
        assert client.get_inference_statistics("knn").model_stats
        refused = {
            "load": lambda: client.load_model("knn"),
            "unload": lambda: client.unload_model("knn"),
            "index": client.get_model_repository_index,
            "shared memory": client.get_system_shared_memory_status,
            "a region": lambda: client.register_system_shared_memory("a", "/a", 1),
            "CUDA": client.get_cuda_shared_memory_status,
            "traces": client.get_trace_settings,
            "logging": lambda: client.update_log_settings({"log_verbose_level": 1}),
        }
        for name, call in refused.items():
            with pytest.raises(grpc.InferenceServerException) as caught:
                call()
            assert caught.value.status() == "StatusCode.PERMISSION_DENIED", name


def test_large_pictures_go_through_nginx_though_it_forbids_shared_memory(run: Stack) -> None:
    image, question, answer = asked()[0]
    padded = image + bytes(300_000 - len(image))  # a JPEG may have anything behind its end
    with PixelisClient(f"127.0.0.1:{GRPC}") as client:
        for _ in range(2):
            assert client.ask([padded], question).answer == answer


def test_a_gateway_that_goes_is_missed_by_nobody(run: Stack, tmp_path: Path) -> None:
    url, body = "127.0.0.1:18512", {"image": _coded(asked()[0][0]), "question": asked()[0][1]}
    there = {"PIXELIS_HTTP_LISTEN": url, "PIXELIS_GRPC_LISTEN": "127.0.0.1:18513"}
    conf = filled(tmp_path / "nginx", {**_values(), **there, "PIXELIS_GATEWAYS": servers(18511, ONE)})
    with running(nginx(conf, "-g", "daemon off; user root;"), tmp_path / "log"):
        with gateway(18511, run.triton, tmp_path):
            wait(lambda: _answered(url, body))
            assert [_answered(url, body) for _ in range(4)] == [True] * 4
        assert [_answered(url, body) for _ in range(4)] == [True] * 4
    used = (tmp_path / "log").read_text(encoding="utf-8")
    assert f'"upstream":"127.0.0.1:{ONE}"' in used
    assert '"upstream":"127.0.0.1:18511"' in used


def _answered(url: str, body: dict[str, Any]) -> bool:
    with contextlib.suppress(OSError):
        return posted(url, "/infer", body)[0] == 200
    return False
